// The small XML documents that S3 answers with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quarry::objects::s3 {

struct XmlNode {
  std::string name;  // without a namespace's prefix
  std::string text;  // of the element itself, not of those below it
  std::vector<XmlNode> children;

  // "" if there is no such child.
  std::string_view child_text(std::string_view child_name) const;
};

// Refuses documents of more than 32 MiB, 16 levels or 100,000 elements, and every DOCTYPE, hence every entity but the five of XML itself.
// kCorruption names the line.
Result<XmlNode> parse_xml(std::string_view bytes);

}  // namespace quarry::objects::s3
