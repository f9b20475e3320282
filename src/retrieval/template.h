// Templates in stage parameters: {{INPUT.query}}, {{DOC.title}}, {{CONTEXT.namespace_id}}, {{secrets.name}}.
//
//   template  := "{{" space path space "}}"
//   path      := root step*            root: INPUT INPUTS DOC DOCUMENT CONTEXT SECRETS, in any case
//   step      := "." name | "[" index "]"     name: bytes other than . [ ] { } | ( ) and space; index: decimal
//
// A string that is one template takes the value's JSON type; templates inside other text are rendered as text. What a template yields is
// never read for templates again, so inputs cannot reach secrets or other inputs.
#pragma once

#include "base/result.h"

namespace quarry::retrieval {

// What templates may read; null: not known here. The objects outlive the call.
struct TemplateScope {
  const json::object* inputs = nullptr;
  const json::object* document = nullptr;
  const json::object* context = nullptr;
};

bool has_template(std::string_view text);
// Anywhere in `value`, {"type": "dynamic"} included. Deeper than 64 counts as true.
bool holds_template(const json::value& value);

// The form alone: 422 at `location` for an unfinished or unknown template; 501 for secrets, which are not built yet.
Status check_templates(const json::value& value, const json::array& location);

// Replaces every template in `value`, and every {"type": "dynamic", "field": "INPUT.x"}, by what it names. Errors: 422 "missing_input"
// naming the input, 422 naming an unknown root, 413 past 16 MiB of bound values; nesting is limited to 64.
Status bind_templates(json::value& value, const TemplateScope& scope, const json::array& location);

// True for the error that a missing input gives.
bool is_missing_input(const Error& error);

}  // namespace quarry::retrieval
