// Checks JSON values against the part of JSON Schema that stages and extractors describe their parameters with: type (one or a list), enum,
// const, minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength (Unicode code points), minItems, maxItems, items,
// properties, required, additionalProperties, anyOf, default, and $ref to "#/$defs/name". Other keywords are notes for readers.
//
// Unlike the standard, an object whose schema has `properties` and no `additionalProperties` refuses members that are not listed.
#pragma once

#include "base/result.h"

namespace quarry {

struct SchemaOptions {
  bool allow_templates = false;  // a string that holds "{{" passes wherever it stands: its value is known only when it is bound
  bool fill_defaults = true;
};

// Changes `value` where that keeps its meaning: a null member that may not be null is dropped (null means absent), absent members get their
// defaults, 5.0 becomes 5 where an integer is asked for. Errors: 422 naming each problem (at most 100) at `location` and below; unknown
// members name the nearest known one. `schema` is trusted; values may be nested at most 64 deep.
Status check_json(const json::object& schema, json::value& value, const json::array& location, const SchemaOptions& options = {});

// As check_json() for an object at hand.
Status check_json(const json::object& schema, json::object& value, const json::array& location, const SchemaOptions& options = {});

}  // namespace quarry
