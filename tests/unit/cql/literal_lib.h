/* Which values CQL has a literal for: shared by the property test and the fuzz target that print
 * values and read them back. */
#ifndef TESTS_UNIT_CQL_LITERAL_LIB_H
#define TESTS_UNIT_CQL_LITERAL_LIB_H

#include "base/type.h"

/* Is an empty value in it of a type that has no literal for it, or a NUL, which cannot be written?
 * `value` is valid. */
static inline bool literal_is_impossible(const struct base_type *type, struct base_slice value)
{
    struct base_elements it;
    struct base_slice element;
    bool is_null;
    if (type->kind < BASE_TYPE_LIST)
        return type->kind == BASE_TYPE_TEXT || type->kind == BASE_TYPE_ASCII
                   ? value.len && memchr(value.data, 0, value.len)
                   : type->kind != BASE_TYPE_BLOB && value.len == 0;
    if (!base_elements_begin(&it, type, value))
        return true;
    for (uint32_t i = 0; it.left; i++) {
        const bool fields = type->kind == BASE_TYPE_TUPLE || type->kind == BASE_TYPE_UDT;
        if (!base_elements_next(&it, &element, &is_null))
            return true;
        if (!is_null && literal_is_impossible(type->params[fields                        ? i
                                                           : type->kind == BASE_TYPE_MAP ? i & 1
                                                                                         : 0],
                                              element))
            return true;
    }
    return false;
}

#endif
