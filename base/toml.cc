/*
 * toml.cc - toml++ behind a C function
 *
 * No exception leaves this file.
 */
#include <toml++/toml.h>

#include <algorithm>
#include <new>
#include <sstream>
#include <utility>
#include <vector>

#include "base/toml_read.h"

namespace
{

constexpr int depth_most = 64;

struct too_deep : std::exception {
	const char *what() const noexcept override
	{
		return "nested more than 64 levels deep";
	}
};

void convert(const toml::node &node, arena *arena, int depth, value *out);

void convert_table(
    const toml::table &table, arena *arena, int depth, value *out)
{
	/* The library sorts by name; order of appearance is promised. */
	std::vector<std::pair<const toml::key *, const toml::node *>> members;

	for (const auto &[key, node] : table)
		members.emplace_back(&key, &node);
	std::sort(
	    members.begin(), members.end(), [](const auto &a, const auto &b) {
		    return a.first->source().begin < b.first->source().begin;
	    });
	out->type = VALUE_MAP;
	out->entries = ARENA_ARRAY(arena, value_entry, table.size());
	for (const auto &[key, node] : members) {
		value_entry *entry = &out->entries[out->count++];
		const std::string_view name = key->str();

		if (name.find('\0') != std::string_view::npos)
			throw std::runtime_error("a key holds a NUL");
		entry->key = arena_strndup(arena, name.data(), name.size());
		convert(*node, arena, depth + 1, &entry->value);
	}
}

void convert_array(
    const toml::array &array, arena *arena, int depth, value *out)
{
	out->type = VALUE_LIST;
	out->items = ARENA_ARRAY(arena, value, array.size());
	for (const toml::node &node : array)
		convert(node, arena, depth + 1, &out->items[out->count++]);
}

template <typename T> void convert_time(const T &time, arena *arena, value *out)
{
	std::ostringstream text;

	text << time;
	const std::string s = text.str();

	out->type = VALUE_MAP;
	out->count = 1;
	out->entries = ARENA_NEW(arena, value_entry);
	out->entries[0].key = "$__toml_private_datetime";
	out->entries[0].value = value_string(arena, s.data(), s.size());
}

void convert(const toml::node &node, arena *arena, int depth, value *out)
{
	*out = value{};
	if (depth > depth_most)
		throw too_deep{};
	if (const toml::table *table = node.as_table()) {
		convert_table(*table, arena, depth, out);
	} else if (const toml::array *array = node.as_array()) {
		convert_array(*array, arena, depth, out);
	} else if (const auto *text = node.as_string()) {
		*out =
		    value_string(arena, text->get().data(), text->get().size());
	} else if (const auto *integer = node.as_integer()) {
		out->type = VALUE_INT;
		out->i = integer->get();
		out->n = static_cast<double>(out->i);
	} else if (const auto *number = node.as_floating_point()) {
		out->type = VALUE_NUMBER;
		out->n = number->get();
	} else if (const auto *boolean = node.as_boolean()) {
		out->type = VALUE_BOOL;
		out->b = boolean->get();
	} else if (const auto *date = node.as_date()) {
		convert_time(date->get(), arena, out);
	} else if (const auto *time = node.as_time()) {
		convert_time(time->get(), arena, out);
	} else if (const auto *both = node.as_date_time()) {
		convert_time(both->get(), arena, out);
	}
}

} // namespace

extern "C" bool toml_read(const char *text, size_t len, struct arena *arena,
    struct value *out, char *why, size_t why_size)
{
	try {
		const toml::table table =
		    toml::parse(std::string_view(text, len));

		convert(table, arena, 0, out);
		return true;
	} catch (const toml::parse_error &e) {
		const std::string_view what = e.description();

		snprintf(why, why_size, "line %u, column %u: %.*s",
		    static_cast<unsigned>(e.source().begin.line),
		    static_cast<unsigned>(e.source().begin.column),
		    static_cast<int>(what.size()), what.data());
	} catch (const std::exception &e) {
		snprintf(why, why_size, "%s", e.what());
	}
	return false;
}
