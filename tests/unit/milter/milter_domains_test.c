/* milter_domains_test.c - what is remembered of get_listener_domain */
#include "milter_test.h"

#include "base/str.h"
#include "milter/milter_domains.h"

static struct domain_cache cache;

static void setup(void)
{
	cache = (struct domain_cache){0};
}

static void teardown(void)
{
	domain_cache_clear(&cache);
}

static void remember(const char *domain, const char *authn, bool listed)
{
	struct arena *arena = arena_new(0);
	struct listener_domain *record =
	    ARENA_NEW(arena, struct listener_domain);
	struct domain_answer answer = {.listed = listed ? record : NULL,
	    .where = arena_strdup(arena, domain)};

	(void)domain_cache_add_take(
	    &cache, domain, authn, authn, answer, arena);
}

START_TEST(nil_is_an_answer_too)
{
	const struct domain_answer *a;

	ck_assert(!domain_cache_find(&cache, "a.test", NULL, NULL));
	remember("a.test", NULL, false);
	a = domain_cache_find(&cache, "a.test", NULL, NULL);
	ck_assert(a != NULL);
	ck_assert(a->listed == NULL);
}
END_TEST

START_TEST(an_identity_is_part_of_the_question)
{
	remember("a.test", NULL, false);
	remember("a.test", "scott", true);
	ck_assert(!domain_cache_find(&cache, "a.test", NULL, NULL)->listed);
	ck_assert(
	    domain_cache_find(&cache, "a.test", "scott", "scott")->listed);
	ck_assert(!domain_cache_find(&cache, "a.test", "scott", "other"));
	ck_assert(!domain_cache_find(&cache, "a.test", "tiger", "tiger"));
}
END_TEST

START_TEST(seventeen_are_remembered_and_the_longest_unused_makes_room)
{
	char name[16];

	for (int i = 0; i < DOMAIN_CACHE_SIZE; i++) {
		(void)snprintf(name, sizeof name, "d%d.test", i);
		remember(name, NULL, true);
	}
	ck_assert(domain_cache_find(&cache, "d0.test", NULL, NULL) != NULL);
	remember("new.test", NULL, true);
	ck_assert(domain_cache_find(&cache, "d0.test", NULL, NULL) != NULL);
	ck_assert(domain_cache_find(&cache, "d1.test", NULL, NULL) == NULL);
	ck_assert(domain_cache_find(&cache, "d2.test", NULL, NULL) != NULL);
	ck_assert(domain_cache_find(&cache, "new.test", NULL, NULL) != NULL);
}
END_TEST

START_TEST(an_answer_survives_the_next_question)
{
	char name[16];

	for (int i = 0; i < 100; i++) {
		const struct domain_answer *from;

		remember("sender.test", NULL, true);
		from = domain_cache_find(&cache, "sender.test", NULL, NULL);
		(void)snprintf(name, sizeof name, "d%d.test", i);
		remember(name, NULL, true);
		ck_assert_str_eq(from->where, "sender.test");
	}
}
END_TEST

START_TEST(cleared_means_asked_again)
{
	remember("a.test", NULL, true);
	domain_cache_clear(&cache);
	ck_assert(!domain_cache_find(&cache, "a.test", NULL, NULL));
}
END_TEST

TCase *domains_cases(void)
{
	TCase *tc = tcase_create("domains");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nil_is_an_answer_too);
	tcase_add_test(tc, an_identity_is_part_of_the_question);
	tcase_add_test(
	    tc, seventeen_are_remembered_and_the_longest_unused_makes_room);
	tcase_add_test(tc, an_answer_survives_the_next_question);
	tcase_add_test(tc, cleared_means_asked_again);
	return tc;
}
