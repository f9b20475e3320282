// How the elements of HTML, DocBook and Mallard stand in the text around them.
#pragma once

#include <string_view>

namespace quarry::extract {

enum class MarkupRole {
  kInline,
  kLine,      // on a line of its own
  kBlock,     // a paragraph of its own
  kCell,      // apart from its neighbour
  kVerbatim,  // a paragraph that keeps its white space
  kHidden,    // not shown: skipped with all it holds
  kTitle,
};

// `name` without namespace, HTML's in lower case; kInline for what is not known.
MarkupRole role_of(std::string_view name, bool html);

}  // namespace quarry::extract
