#include "objects/s3/xml.h"

#include <expat.h>
#include <fmt/format.h>

#include <memory>
#include <new>

namespace quarry::objects::s3 {
namespace {

constexpr size_t kMaxBytes = 32 << 20;
constexpr size_t kMaxDepth = 16;
constexpr size_t kMaxElements = 100'000;

struct ParserDeleter {
  void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};
using Parser = std::unique_ptr<std::remove_pointer_t<XML_Parser>, ParserDeleter>;

// Where expat's callbacks build the tree. `path` points at the open elements: a parent's vector grows only while none of its children is
// open, so the pointers hold.
struct Builder {
  XML_Parser parser = nullptr;
  XmlNode root;
  std::vector<XmlNode*> path;
  size_t elements = 0;
  const char* fault = nullptr;

  void stop(const char* why) {
    if (fault == nullptr) fault = why;
    XML_StopParser(parser, XML_FALSE);
  }
};

void on_start(void* user, const XML_Char* name, const XML_Char**) {
  auto& builder = *static_cast<Builder*>(user);
  if (builder.fault != nullptr) return;
  if (builder.path.size() >= kMaxDepth) return builder.stop("is nested too deeply");
  if (++builder.elements > kMaxElements) return builder.stop("has too many elements");
  try {
    XmlNode* node = &builder.root;
    if (!builder.path.empty()) node = &builder.path.back()->children.emplace_back();
    std::string_view text(name);
    node->name = text.substr(text.rfind(':') + 1);
    builder.path.push_back(node);
  } catch (const std::bad_alloc&) {
    builder.stop("is too large for memory");
  }
}

void on_end(void* user, const XML_Char*) {
  auto& builder = *static_cast<Builder*>(user);
  if (builder.fault == nullptr) builder.path.pop_back();
}

void on_text(void* user, const XML_Char* text, int size) {
  auto& builder = *static_cast<Builder*>(user);
  if (builder.fault != nullptr || builder.path.empty()) return;
  try {
    builder.path.back()->text.append(text, static_cast<size_t>(size));
  } catch (const std::bad_alloc&) {
    builder.stop("is too large for memory");
  }
}

void on_doctype(void* user, const XML_Char*, const XML_Char*, const XML_Char*, int) {
  static_cast<Builder*>(user)->stop("has a DOCTYPE, which is refused");
}

}  // namespace

std::string_view XmlNode::child_text(std::string_view child_name) const {
  for (const XmlNode& child : children)
    if (child.name == child_name) return child.text;
  return "";
}

Result<XmlNode> parse_xml(std::string_view bytes) {
  if (bytes.size() > kMaxBytes) return corruption(fmt::format("the XML has {} bytes; at most {} are read", bytes.size(), kMaxBytes));
  Parser parser(XML_ParserCreate("UTF-8"));
  if (parser == nullptr) return Error{ErrorKind::kUnavailable, "expat: no memory"};
  Builder builder{.parser = parser.get()};
  XML_SetUserData(parser.get(), &builder);
  XML_SetElementHandler(parser.get(), on_start, on_end);
  XML_SetCharacterDataHandler(parser.get(), on_text);
  XML_SetStartDoctypeDeclHandler(parser.get(), on_doctype);
  if (XML_Parse(parser.get(), bytes.data(), static_cast<int>(bytes.size()), XML_TRUE) == XML_STATUS_OK) return std::move(builder.root);
  const char* fault = builder.fault != nullptr ? builder.fault : XML_ErrorString(XML_GetErrorCode(parser.get()));
  return corruption(fmt::format("XML, line {}: {}", XML_GetCurrentLineNumber(parser.get()), fault));
}

}  // namespace quarry::objects::s3
