#include "base/base_private.h"
int base_value_from_json(const struct base_type *type, struct base_slice json, struct base_buf *out, struct base_err *err)
{
    (void)type, (void)json, (void)out;
    return base_err_set(err, BASE_E_INVALID, "JSON lands in the next slice");
}
int basei_value_put_json(const struct base_type *type, struct base_slice value, enum basei_json_style style, struct base_buf *out, struct base_err *err)
{
    (void)type, (void)value, (void)out, (void)style;
    return base_err_set(err, BASE_E_INVALID, "JSON lands in the next slice");
}
