/*
 * template_filter.h - filters on lists, of the table in template_filter.c
 *
 * Only template_*.c include this.  Lists are what template_items() makes.
 */
#ifndef POLICY_TEMPLATE_FILTER_H
#define POLICY_TEMPLATE_FILTER_H

#include "policy/template_run.h"

/* clang-format off */
template_apply_fn template_join, template_first, template_last, template_pairs,
    template_reject, template_select, template_sort, template_unique;
/* clang-format on */

#endif
