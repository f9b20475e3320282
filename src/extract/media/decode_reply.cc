#include "extract/media/decode_reply.h"

#include <fmt/format.h>

#include "extract/media/decode_protocol.h"
#include "extract/utf8.h"

namespace quarry::extract {
namespace {

constexpr size_t kMaxErrorBytes = 500;
constexpr std::string_view kInfoNames[] = {"title", "author", "subject", "keywords", "creator", "producer", "created_at", "modified_at"};

Error broken() { return {ErrorKind::kExtraction, "the file could not be decoded: the decoder's reply is not well formed"}; }

Result<std::vector<PdfPage>> parse_pages(const json::object& header, std::string_view body) {
  const json::value* sizes = header.if_contains("sizes");
  if (sizes == nullptr || !sizes->is_array() || sizes->get_array().size() > kMaxPdfPages) return broken();
  std::vector<PdfPage> pages;
  for (const json::value& entry : sizes->get_array()) {
    boost::system::error_code error;
    const auto size = entry.to_number<uint32_t>(error);
    if (error || size > body.size()) return broken();
    pages.push_back({static_cast<uint32_t>(pages.size() + 1), to_valid_utf8(std::string(body.substr(0, size)))});
    body.remove_prefix(size);
  }
  if (!body.empty() || pages.empty()) return broken();
  return pages;
}

json::object parse_info(const json::object& header) {
  json::object out;
  const json::value* info = header.if_contains("info");
  if (info == nullptr || !info->is_object()) return out;
  for (std::string_view name : kInfoNames)
    if (const json::value* value = info->get_object().if_contains(name); value != nullptr && value->is_string()) out[name] = *value;
  return out;
}

}  // namespace

Result<PdfText> parse_pdf_reply(std::string_view header, std::string_view body) {
  boost::system::error_code error;
  json::value parsed = json::parse(header, error);
  if (error || !parsed.is_object()) return broken();
  const json::object& object = parsed.get_object();
  const json::value* ok = object.if_contains("ok");
  if (ok == nullptr || !ok->is_bool()) return broken();
  if (!ok->get_bool()) {
    const json::value* message = object.if_contains("error");
    if (message == nullptr || !message->is_string()) return broken();
    return Error{ErrorKind::kExtraction, to_valid_utf8(std::string(std::string_view(message->get_string()).substr(0, kMaxErrorBytes)))};
  }
  PdfText out;
  QUARRY_ASSIGN_OR_RETURN(out.pages, parse_pages(object, body));
  out.page_count = static_cast<uint32_t>(out.pages.size());
  out.info = parse_info(object);
  return out;
}

}  // namespace quarry::extract
