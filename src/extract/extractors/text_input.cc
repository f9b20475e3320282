#include "extract/extractors/text_input.h"

#include <fmt/format.h>

#include <algorithm>

#include "extract/markup_text.h"
#include "extract/utf8.h"

namespace quarry::extract {
namespace {

constexpr std::string_view kTextNames[] = {"text",          "content", "body",  "description", "transcript",
                                           "transcription", "summary", "title", "name"};
constexpr std::string_view kPayloadPrefix = "payload.";

Error extraction(std::string message) { return {ErrorKind::kExtraction, std::move(message)}; }

std::string label_of(const Blob& blob) {
  return fmt::format("blob '{}'{}", blob.property, blob.filename.empty() ? "" : fmt::format(" ({})", blob.filename));
}

bool is_pdf(const Blob& blob) { return blob.type == FieldType::kPdf || blob.mime_type == "application/pdf"; }

bool holds_text(const Blob& blob) {
  return is_pdf(blob) || blob.type == FieldType::kText || blob.type == FieldType::kString ||
         field_type_of_mime(blob.mime_type) == FieldType::kText;
}

bool has_control_characters(std::string_view bytes) {
  return std::any_of(bytes.begin(), bytes.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 && (c < '\b' || c > '\r') && c != 0x1B; });
}

std::string from_utf16(std::string_view bytes, bool big_endian) {
  auto unit = [&](size_t i) -> char32_t {
    const auto a = static_cast<unsigned char>(bytes[i]), b = static_cast<unsigned char>(bytes[i + 1]);
    return big_endian ? static_cast<char32_t>(a << 8 | b) : static_cast<char32_t>(b << 8 | a);
  };
  std::string out;
  char buffer[4];
  for (size_t i = 2; i + 1 < bytes.size(); i += 2) {
    char32_t point = unit(i);
    if (point >= 0xD800 && point < 0xDC00 && i + 3 < bytes.size() && unit(i + 2) >= 0xDC00 && unit(i + 2) < 0xE000) {
      point = 0x10000 + ((point - 0xD800) << 10) + (unit(i + 2) - 0xDC00);
      i += 2;
    } else if (point >= 0xD800 && point < 0xE000) {
      point = kReplacement;
    }
    out.append(buffer, encode_utf8(point, buffer));
  }
  return out;
}

std::string from_windows_1252(std::string_view bytes) {
  // 0x80 to 0x9F; zero: not assigned.
  static constexpr uint16_t kHigh[32] = {0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
                                         0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
                                         0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};
  std::string out;
  char buffer[4];
  for (char c : bytes) {
    char32_t point = static_cast<unsigned char>(c);
    if (point >= 0x80 && point < 0xA0) point = kHigh[point - 0x80] ? kHigh[point - 0x80] : kReplacement;
    out.append(buffer, encode_utf8(point, buffer));
  }
  return out;
}

// A string, a number, or strings in a list.
std::optional<std::string> text_of_value(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_number()) return json::serialize(value);
  if (!value.is_array() || value.get_array().empty()) return std::nullopt;
  std::string joined;
  for (const json::value& entry : value.get_array()) {
    if (!entry.is_string()) return std::nullopt;
    joined += (joined.empty() ? "" : "\n\n") + std::string(entry.get_string());
  }
  return joined;
}

TextInput plain_input(std::string text) {
  TextInput out;
  out.source.text = to_valid_utf8(std::move(text));
  out.source.pages = form_feed_pages(out.source.text);
  return out;
}

// Pages one behind the other, a form feed between them.
TextInput join_pages(PdfText pdf) {
  TextInput out;
  uint64_t blank = 0;
  for (PdfPage& page : pdf.pages) {
    if (!out.source.text.empty()) out.source.text += '\f';
    out.source.pages.push_back({out.source.text.size(), page.number});
    if (page.text.find_first_not_of(" \t\r\n\f\v") == std::string::npos) ++blank;
    out.source.text += page.text;
    page.text = {};
  }
  out.diagnostics["page_count"] = pdf.page_count;
  if (blank > 0) out.diagnostics["pages_without_text"] = blank;
  for (auto [name, member] : {std::pair{"title", &TextInput::title}, {"author", &TextInput::author}})
    if (const json::value* value = pdf.info.if_contains(name); value != nullptr && value->is_string()) out.*member = value->get_string();
  return out;
}

Result<TextInput> read_pdf(const Blob& blob, Decoder* decoder) {
  if (decoder == nullptr) return Error{ErrorKind::kUnavailable, "this server has no PDF decoder"};
  auto pdf = decoder->pdf_text(blob.data);
  if (!pdf.ok()) return std::move(pdf).error().with_context(label_of(blob));
  const uint32_t pages = pdf->page_count;
  TextInput out = join_pages(std::move(pdf).value());
  if (out.source.text.find_first_not_of(" \t\r\n\f\v") == std::string::npos)
    return extraction(fmt::format("{}: none of its {} pages holds text (pictures of pages would need text recognition, which is not built)",
                                  label_of(blob), pages));
  return out;
}

Result<TextInput> read_text_blob(const Blob& blob) {
  std::string encoding;
  QUARRY_ASSIGN_OR_RETURN(std::string text, decode_text(blob.data, label_of(blob), encoding));
  const bool html = blob.mime_type == "text/html",
             xml = blob.mime_type == "application/xml" || blob.mime_type == "text/xml" || blob.mime_type == "image/svg+xml";
  TextInput out;
  if (html || xml) {
    MarkupText read = html ? text_of_html(text) : text_of_xml(text);
    out = plain_input(std::move(read.text));
    out.title = std::move(read.title);
  } else {
    out = plain_input(std::move(text));
  }
  if (encoding != "utf-8") out.diagnostics["encoding"] = encoding;
  return out;
}

Result<TextInput> read_blob(const Blob& blob, Decoder* decoder) {
  if (blob.data.empty()) return extraction(label_of(blob) + " is empty");
  if (is_pdf(blob)) return read_pdf(blob, decoder);
  if (!holds_text(blob))
    return extraction(fmt::format("{} is of type {}, which the text extractor cannot read", label_of(blob),
                                  blob.mime_type.empty() ? to_string(blob.type) : blob.mime_type));
  return read_text_blob(blob);
}

const Blob* blob_named(const SourceItem& item, std::string_view property) {
  for (const Blob& blob : item.blobs)
    if (blob.property == property) return &blob;
  return nullptr;
}

Result<TextInput> read_property(const SourceItem& item, std::string_view property, Decoder* decoder) {
  if (const Blob* blob = blob_named(item, property)) return read_blob(*blob, decoder);
  const json::value* value = find_path(item.fields, property);
  if (value == nullptr && property.starts_with(kPayloadPrefix)) return read_property(item, property.substr(kPayloadPrefix.size()), decoder);
  if (value == nullptr || value->is_null())
    return bad_request(fmt::format("source {}: it has no property '{}' to take the text from", item.source_id, property));
  std::optional<std::string> text = text_of_value(*value);
  if (!text) return bad_request(fmt::format("source {}: its property '{}' is not text", item.source_id, property));
  return plain_input(std::move(*text));
}

Result<TextInput> read_any(const SourceItem& item, Decoder* decoder) {
  for (const Blob& blob : item.blobs)
    if (holds_text(blob)) return read_blob(blob, decoder);
  for (std::string_view name : kTextNames)
    if (const json::value* value = item.fields.if_contains(name); value != nullptr && value->is_string())
      return plain_input(std::string(value->get_string()));
  for (const auto& field : item.fields)
    if (field.value().is_string()) return plain_input(std::string(field.value().get_string()));
  if (!item.blobs.empty()) return read_blob(item.blobs.front(), decoder);
  return bad_request(fmt::format("source {}: it holds neither text nor a PDF", item.source_id));
}

}  // namespace

Result<std::string> decode_text(std::string bytes, std::string_view what, std::string& encoding) {
  encoding = "utf-8";
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.erase(0, 3);
  const bool little = bytes.starts_with("\xFF\xFE"), big = bytes.starts_with("\xFE\xFF");
  if (little || big) {
    encoding = "utf-16";
    return from_utf16(bytes, big);
  }
  if (is_valid_utf8(bytes)) {
    std::erase(bytes, '\0');
    return bytes;
  }
  if (has_control_characters(bytes))
    return extraction(fmt::format("{} is not text; its content looks like {}", what, detect_mime_type(bytes, "")));
  encoding = "windows-1252";
  return from_windows_1252(bytes);
}

Result<TextInput> read_text_input(const SourceItem& item, const std::string& property, Decoder* decoder) {
  auto input = property.empty() ? read_any(item, decoder) : read_property(item, property, decoder);
  if (!input.ok()) return input;
  if (input->source.text.find_first_not_of(" \t\r\n\f\v") == std::string::npos)
    return extraction(fmt::format("source {}: its text is empty", item.source_id));
  return input;
}

}  // namespace quarry::extract
