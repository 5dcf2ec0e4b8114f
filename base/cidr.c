/*
 * cidr.c - blocks of addresses; is it in the list, what is the longest match
 */
#include "base/cidr.h"

#include "base/diag.h"
#include "base/str.h"

static unsigned bits_of(int family)
{
	return family == AF_INET ? 32 : 128;
}

static void mask(struct ip_addr *ip, unsigned len)
{
	for (unsigned i = 0; i < bits_of(ip->family) / 8; i++) {
		unsigned keep = len > i * 8 ? len - i * 8 : 0;

		if (keep < 8)
			ip->bytes[i] &= (unsigned char)(0xff00 >> keep);
	}
}

static bool refuse(struct err *err, const char *text, const char *why)
{
	char quoted[80];

	return err_set(err, ERR_CONFIG, "invalid CIDR block \"%s\": %s",
	    diag_quote(quoted, sizeof quoted, text, strlen(text)), why);
}

static bool refuse_host_bits(
    struct err *err, const char *text, const struct cidr *meant)
{
	char quoted[80], block[IP_TEXT + 4];

	return err_set(err, ERR_CONFIG,
	    "invalid CIDR block \"%s\": it has bits beyond its length; did you "
	    "mean %s?",
	    diag_quote(quoted, sizeof quoted, text, strlen(text)),
	    cidr_print(block, meant));
}

bool cidr_parse(const char *text, struct cidr *out, struct err *err)
{
	char address[IP_TEXT];
	const char *slash = strchr(text, '/');
	size_t address_len = slash ? (size_t)(slash - text) : strlen(text);
	struct cidr masked;
	int64_t len;

	*out = (struct cidr){0};
	if (str_eq(text, "any"))
		return true;
	if (address_len >= sizeof address)
		return refuse(err, text, "expected ADDRESS or ADDRESS/LENGTH");
	memcpy(address, text, address_len);
	address[address_len] = '\0';
	if (!ip_parse(address, &out->ip))
		return refuse(err, text,
		    "expected an IPv4 address of four decimal parts or an IPv6 "
		    "address");
	out->len = bits_of(out->ip.family);
	if (!slash)
		return true;
	if (slash[1] < '0' || slash[1] > '9' || strlen(slash + 1) > 3 ||
	    (slash[1] == '0' && slash[2]) || !str_to_int(slash + 1, &len))
		return refuse(err, text, "the length is not a number");
	/* ::ffff:10.0.0.0/104 has become 10.0.0.0: so must its length. */
	if (out->ip.family == AF_INET && strchr(address, ':')) {
		if (len < 96)
			return refuse(err, text,
			    "it holds more than the IPv4-mapped addresses");
		len -= 96;
	}
	if (len > (int64_t)out->len)
		return refuse(err, text, "the length is too large");
	out->len = (unsigned)len;
	masked = *out;
	mask(&masked.ip, masked.len);
	if (!ip_eq(&masked.ip, &out->ip))
		return refuse_host_bits(err, text, &masked);
	return true;
}

char *cidr_print(char out[IP_TEXT + 4], const struct cidr *cidr)
{
	char text[IP_TEXT];

	if (!cidr->ip.family)
		(void)snprintf(out, IP_TEXT + 4, "any");
	else if (cidr->len == bits_of(cidr->ip.family))
		(void)snprintf(
		    out, IP_TEXT + 4, "%s", ip_print(text, &cidr->ip));
	else
		(void)snprintf(out, IP_TEXT + 4, "%s/%u",
		    ip_print(text, &cidr->ip), cidr->len & 0xff);
	return out;
}

bool cidr_contains(const struct cidr *cidr, const struct ip_addr *ip)
{
	unsigned bytes = cidr->len / 8, rest = cidr->len % 8;

	if (!ip || !ip->family)
		return false;
	if (!cidr->ip.family)
		return true;
	if (cidr->ip.family != ip->family ||
	    memcmp(cidr->ip.bytes, ip->bytes, bytes) != 0)
		return false;
	return !rest ||
	       ((cidr->ip.bytes[bytes] ^ ip->bytes[bytes]) >> (8 - rest)) == 0;
}

bool cidr_list_contains(const struct cidr_list *list, const struct ip_addr *ip)
{
	for (size_t i = 0; i < list->count; i++)
		if (cidr_contains(&list->items[i], ip))
			return true;
	return false;
}

int cidr_longest(
    const struct cidr *items, size_t count, const struct ip_addr *ip)
{
	int best = -1;

	for (size_t i = 0; i < count; i++) {
		const struct cidr *had = best < 0 ? NULL : &items[best];

		if (!cidr_contains(&items[i], ip))
			continue;
		/* `any` is shorter than 0.0.0.0/0. */
		if (!had || items[i].len > had->len ||
		    (!had->ip.family && items[i].ip.family))
			best = (int)i;
	}
	return best;
}
