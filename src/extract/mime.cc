// Media types by content. Magic numbers as the formats' own specifications give them.
#include <algorithm>
#include <cctype>

#include "base/ascii.h"
#include "extract/extract.h"
#include "extract/utf8.h"

namespace quarry::extract {
namespace {

// How much of a file decides.
constexpr size_t kSniffBytes = 64 * 1024;

constexpr std::string_view kUnknown = "application/octet-stream";

struct Magic {
  size_t offset;
  std::string_view bytes;
  std::string_view type;
};

using namespace std::string_view_literals;

constexpr Magic kMagics[] = {
    {0, "\x89PNG\r\n\x1a\n"sv, "image/png"},
    {0, "\xFF\xD8\xFF"sv, "image/jpeg"},
    {0, "GIF87a"sv, "image/gif"},
    {0, "GIF89a"sv, "image/gif"},
    {0, "II*\0"sv, "image/tiff"},
    {0, "MM\0*"sv, "image/tiff"},
    {0, "fLaC"sv, "audio/flac"},
    {0, "ID3"sv, "audio/mpeg"},
    {0, "\x1F\x8B\x08"sv, "application/gzip"},
    {0, "BZh"sv, "application/x-bzip2"},
    {0,
     "\xFD"
     "7zXZ\0"sv,
     "application/x-xz"},
    {0, "\x28\xB5\x2F\xFD"sv, "application/zstd"},
    {0, "7z\xBC\xAF\x27\x1C"sv, "application/x-7z-compressed"},
    {257, "ustar"sv, "application/x-tar"},
    {0,
     "\x7F"
     "ELF"sv,
     "application/x-executable"},
    {0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, "application/x-ole-storage"},
    {0, "PAR1"sv, "application/vnd.apache.parquet"},
    {0, "SQLite format 3\0"sv, "application/vnd.sqlite3"},
};

bool has(std::string_view bytes, size_t offset, std::string_view magic) {
  return bytes.size() >= offset && bytes.substr(offset).starts_with(magic);
}

std::string_view by_magic(std::string_view bytes) {
  for (const Magic& magic : kMagics)
    if (has(bytes, magic.offset, magic.bytes)) return magic.type;
  return {};
}

std::string_view riff_type(std::string_view bytes) {
  if (!bytes.starts_with("RIFF")) return {};
  if (has(bytes, 8, "WAVE")) return "audio/wav";
  if (has(bytes, 8, "WEBP")) return "image/webp";
  if (has(bytes, 8, "AVI ")) return "video/x-msvideo";
  return {};
}

// ISO base media: a box "ftyp" with the brand behind it.
std::string_view iso_media_type(std::string_view bytes) {
  if (!has(bytes, 4, "ftyp")) return {};
  std::string_view brand = bytes.substr(std::min<size_t>(8, bytes.size()), 4);
  if (brand == "qt  ") return "video/quicktime";
  if (brand == "avif" || brand == "avis") return "image/avif";
  if (brand == "heic" || brand == "heix" || brand == "mif1" || brand == "msf1") return "image/heic";
  if (brand == "M4A " || brand == "M4B ") return "audio/mp4";
  return "video/mp4";
}

std::string_view ogg_type(std::string_view bytes) {
  if (!bytes.starts_with("OggS")) return {};
  return bytes.substr(0, 512).find("theora") != std::string_view::npos ? "video/ogg" : "audio/ogg";
}

std::string_view matroska_type(std::string_view bytes) {
  if (!bytes.starts_with("\x1A\x45\xDF\xA3")) return {};
  return bytes.substr(0, 4096).find("webm") != std::string_view::npos ? "video/webm" : "video/x-matroska";
}

// A frame header of MPEG audio, layer II or III, whose fields are all possible: version, bit rate, sampling rate. (Layer I would take the
// byte order mark of UTF-16 for music.)
std::string_view mpeg_audio_type(std::string_view bytes) {
  if (bytes.size() < 4) return {};
  auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (byte(0) != 0xFF || (byte(1) & 0xE0) != 0xE0) return {};
  const bool adts = (byte(1) & 0xF6) == 0xF0;
  if (adts) return (byte(2) >> 2 & 0xF) < 13 ? "audio/aac" : std::string_view();
  const unsigned version = byte(1) >> 3 & 3, layer = byte(1) >> 1 & 3, rate = byte(2) >> 4, sampling = byte(2) >> 2 & 3;
  return version != 1 && (layer == 1 || layer == 2) && rate != 0 && rate != 15 && sampling != 3 ? "audio/mpeg" : std::string_view();
}

// A bitmap's header: reserved fields are zero, the header's size is one of those in use.
std::string_view bitmap_type(std::string_view bytes) {
  if (!bytes.starts_with("BM") || bytes.size() < 18 || bytes.substr(6, 4) != "\0\0\0\0"sv) return {};
  const auto size = static_cast<unsigned char>(bytes[14]);
  return size == 12 || size == 40 || size == 52 || size == 56 || size == 64 || size == 108 || size == 124 ? "image/bmp"
                                                                                                          : std::string_view();
}

// Office files are ZIP archives that begin with entries of known names.
std::string_view zip_type(std::string_view bytes) {
  if (!bytes.starts_with("PK\x03\x04") && !bytes.starts_with("PK\x05\x06")) return {};
  std::string_view head = bytes.substr(0, kSniffBytes);
  constexpr std::string_view kOpenDocument = "mimetypeapplication/vnd.oasis.opendocument.";
  if (size_t at = head.find(kOpenDocument); at != std::string_view::npos) {
    std::string_view kind = head.substr(at + kOpenDocument.size());
    if (kind.starts_with("text")) return "application/vnd.oasis.opendocument.text";
    if (kind.starts_with("spreadsheet")) return "application/vnd.oasis.opendocument.spreadsheet";
    if (kind.starts_with("presentation")) return "application/vnd.oasis.opendocument.presentation";
  }
  if (head.find("mimetypeapplication/epub+zip") != std::string_view::npos) return "application/epub+zip";
  if (head.find("word/") != std::string_view::npos) return "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
  if (head.find("xl/") != std::string_view::npos) return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
  if (head.find("ppt/") != std::string_view::npos) return "application/vnd.openxmlformats-officedocument.presentationml.presentation";
  return "application/zip";
}

std::string_view pdf_type(std::string_view bytes) {
  return bytes.substr(0, 1024).find("%PDF-") != std::string_view::npos ? "application/pdf" : std::string_view();
}

std::string_view binary_type(std::string_view bytes) {
  for (auto detect : {by_magic, riff_type, iso_media_type, ogg_type, matroska_type, mpeg_audio_type, bitmap_type, zip_type, pdf_type})
    if (std::string_view type = detect(bytes); !type.empty()) return type;
  return {};
}

// ---- text -----------------------------------------------------------------------------------------------------------

// Less the last sequence of several bytes, which may be cut.
std::string_view without_last_sequence(std::string_view sample) {
  while (!sample.empty() && (static_cast<unsigned char>(sample.back()) & 0xC0) == 0x80) sample.remove_suffix(1);
  if (!sample.empty() && static_cast<unsigned char>(sample.back()) >= 0xC0) sample.remove_suffix(1);
  return sample;
}

bool is_control(unsigned char c) { return c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\b' && c != 0x1B; }

// No control characters other than white space, escape and backspace; UTF-8, UTF-16 with its mark, or mostly ASCII in some 8-bit encoding.
// A sequence cut at the end of the sample is no fault.
bool is_text(std::string_view sample) {
  if (sample.size() % 2 == 0 && (sample.starts_with("\xFF\xFE") || sample.starts_with("\xFE\xFF"))) return sample.size() > 2;
  if (std::any_of(sample.begin(), sample.end(), is_control)) return false;
  const auto high = static_cast<size_t>(std::count_if(sample.begin(), sample.end(), [](unsigned char c) { return c >= 0x80; }));
  return high * 4 <= sample.size() || is_valid_utf8(without_last_sequence(sample));
}

std::string_view extension_of(std::string_view filename) {
  size_t dot = filename.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : filename.substr(dot + 1);
}

// Markup by how it begins, behind white space, a byte order mark, comments and declarations.
std::string_view markup_type(std::string_view text) {
  std::string head = ascii_lower(text.substr(0, 4096));
  std::string_view rest = head;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  bool is_xml = false;
  for (int parts = 0; parts < 16; ++parts) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n\f"), rest.size()));
    std::string_view stop = rest.starts_with("<!--") ? "-->" : rest.starts_with("<?") ? "?>" : "";
    if (rest.starts_with("<!doctype html") || rest.starts_with("<html")) return "text/html";
    if (rest.starts_with("<?xml")) is_xml = true;
    if (rest.starts_with("<svg")) return "image/svg+xml";
    if (rest.starts_with("<!doctype svg")) return "image/svg+xml";
    if (stop.empty()) break;
    size_t end = rest.find(stop);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + stop.size());
  }
  for (std::string_view tag : {"<head", "<body", "<title", "<table", "<div", "<script", "<p>", "<h1"})
    if (!is_xml && rest.starts_with(tag)) return "text/html";
  // Files without a declaration still name their vocabulary on the first element.
  bool has_namespace = rest.starts_with("<") && rest.substr(0, rest.find('>')).find(" xmlns") != std::string_view::npos;
  return is_xml || has_namespace || rest.starts_with("<!doctype") ? "application/xml" : std::string_view();
}

// A whole JSON value, checked only for files that were seen whole; otherwise by how it begins.
bool is_json(std::string_view text, bool cut) {
  size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) return false;
  json::stream_parser parser({}, {.max_depth = 64});
  boost::system::error_code error;
  parser.write_some(text.data(), text.size(), error);
  if (error) return false;
  return cut || parser.done();
}

std::string_view text_type(std::string_view sample, bool cut, std::string_view filename) {
  static constexpr std::pair<std::string_view, std::string_view> kByExtension[] = {{"md", "text/markdown"},
                                                                                   {"markdown", "text/markdown"},
                                                                                   {"csv", "text/csv"},
                                                                                   {"tsv", "text/tab-separated-values"},
                                                                                   {"jsonl", "application/x-ndjson"},
                                                                                   {"ndjson", "application/x-ndjson"},
                                                                                   {"html", "text/html"},
                                                                                   {"htm", "text/html"},
                                                                                   {"xml", "application/xml"},
                                                                                   {"xhtml", "text/html"},
                                                                                   {"docbook", "application/xml"},
                                                                                   {"rst", "text/x-rst"},
                                                                                   {"css", "text/css"},
                                                                                   {"yaml", "application/yaml"},
                                                                                   {"yml", "application/yaml"},
                                                                                   {"toml", "application/toml"}};
  if (std::string_view markup = markup_type(sample); !markup.empty()) return markup;
  const std::string extension = ascii_lower(extension_of(filename));
  for (const auto& [known, type] : kByExtension)
    if (extension == known) return type;
  if (is_json(sample, cut)) return "application/json";
  return "text/plain";
}

}  // namespace

std::string detect_mime_type(std::string_view bytes, std::string_view filename) {
  if (bytes.empty()) return "text/plain";
  if (std::string_view type = binary_type(bytes); !type.empty()) return std::string(type);
  const bool cut = bytes.size() > kSniffBytes;
  std::string_view sample = bytes.substr(0, kSniffBytes);
  return std::string(is_text(sample) ? text_type(sample, cut, filename) : kUnknown);
}

FieldType field_type_of_mime(std::string_view mime_type) {
  if (mime_type == "application/pdf") return FieldType::kPdf;
  if (mime_type.starts_with("image/") && mime_type != "image/svg+xml") return FieldType::kImage;
  if (mime_type.starts_with("audio/")) return FieldType::kAudio;
  if (mime_type.starts_with("video/")) return FieldType::kVideo;
  if (mime_type == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" ||
      mime_type == "application/vnd.oasis.opendocument.spreadsheet" || mime_type == "application/vnd.ms-excel")
    return FieldType::kExcel;
  if (mime_type.starts_with("text/") || mime_type == "image/svg+xml") return FieldType::kText;
  for (std::string_view text : {"application/json", "application/xml", "application/x-ndjson", "application/yaml", "application/toml"})
    if (mime_type == text) return FieldType::kText;
  return FieldType::kObject;
}

}  // namespace quarry::extract
