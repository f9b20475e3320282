// quarry-decode: reads files from outside in a process that may crash, loop or run out of memory without harm.
// Usage: quarry-decode MEMORY_BYTES; speaks decode_protocol.h over standard input and output until end of input.
#include <iconv.h>
#include <poppler/cpp/poppler-document.h>
#include <poppler/cpp/poppler-global.h>
#include <poppler/cpp/poppler-page.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "extract/media/decode_protocol.h"
#include "extract/media/decode_sandbox.h"
#include "extract/utf8.h"

namespace quarry::extract {
namespace {

namespace json = boost::json;

// Damage, as the file's owner is told.
struct DecodeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Reply {
  json::object header;
  std::string body;
};

// ---- frames ---------------------------------------------------------------------------------------------------------

// False at the end of input before the first byte; ends the process where a frame is cut.
bool read_exactly(char* out, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = ::read(STDIN_FILENO, out + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 && done == 0) return false;
    if (n <= 0) _exit(1);
    done += static_cast<size_t>(n);
  }
  return true;
}

std::optional<std::string> read_frame(uint32_t limit) {
  FrameLength bytes;
  if (!read_exactly(bytes.data(), bytes.size())) return std::nullopt;
  const uint32_t length = decode_length(bytes);
  if (length > limit) _exit(1);
  std::string frame(length, '\0');
  if (length > 0 && !read_exactly(frame.data(), length)) _exit(1);
  return frame;
}

void write_all(const char* bytes, size_t size) {
  while (size > 0) {
    ssize_t n = ::write(STDOUT_FILENO, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(1);
    bytes += n, size -= static_cast<size_t>(n);
  }
}

void write_frame(std::string_view frame) {
  FrameLength length = encode_length(static_cast<uint32_t>(frame.size()));
  write_all(length.data(), length.size());
  write_all(frame.data(), frame.size());
}

// ---- PDF ------------------------------------------------------------------------------------------------------------

// Poppler turns a page's text into UTF-16 by iconv, whose modules must be there before the sandbox closes the file system. Descriptors that
// stay open keep them loaded.
void load_conversions() {
  for (const char* form : {"UTF-16", "UTF-16LE", "UTF-16BE"}) {
    if (iconv_open(form, "UTF-8") == reinterpret_cast<iconv_t>(-1) || iconv_open("UTF-8", form) == reinterpret_cast<iconv_t>(-1)) _exit(70);
  }
  if (poppler::ustring::from_utf8("warm").size() != 4) _exit(70);
}

// Surrogates without a partner become U+FFFD; NUL is dropped.
void append_utf8(const poppler::ustring& text, std::string& out) {
  char buffer[4];
  for (size_t i = 0; i < text.size(); ++i) {
    char32_t point = text[i];
    const bool high = point >= 0xD800 && point < 0xDC00;
    if (high && i + 1 < text.size() && text[i + 1] >= 0xDC00 && text[i + 1] < 0xE000) {
      point = 0x10000 + ((point - 0xD800) << 10) + (text[++i] - 0xDC00u);
    } else if (point >= 0xD800 && point < 0xE000) {
      point = kReplacement;
    }
    if (point != 0) out.append(buffer, encode_utf8(point, buffer));
  }
}

std::string iso_date(std::time_t time) {
  std::tm parts{};
  char buffer[32];
  if (gmtime_r(&time, &parts) == nullptr) return "";
  return {buffer, std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

json::object read_info(const poppler::document& pdf) {
  constexpr size_t kMaxValueBytes = 4'096;
  json::object info;
  for (auto [key, name] : {std::pair{"Title", "title"},
                           {"Author", "author"},
                           {"Subject", "subject"},
                           {"Keywords", "keywords"},
                           {"Creator", "creator"},
                           {"Producer", "producer"}}) {
    std::string value;
    append_utf8(pdf.info_key(key), value);
    if (!value.empty() && value.size() <= kMaxValueBytes) info[name] = value;
  }
  for (auto [key, name] : {std::pair{"CreationDate", "created_at"}, {"ModDate", "modified_at"}}) {
    std::time_t time = pdf.info_date_t(key);
    if (std::string date = time > 0 ? iso_date(time) : ""; !date.empty()) info[name] = date;
  }
  return info;
}

// A PDF's cross references stand at its end: without them the file was cut, and what poppler rebuilds may lack pages.
void check_ends(std::string_view file) {
  constexpr size_t kHead = 1'024, kTail = 65'536;
  if (file.substr(0, kHead).find("%PDF-") == std::string_view::npos) throw DecodeError("not a PDF: it does not begin with %PDF-");
  std::string_view tail = file.substr(file.size() - std::min(file.size(), kTail));
  if (tail.find("startxref") == std::string_view::npos) throw DecodeError("the PDF is truncated: its end is missing");
}

std::unique_ptr<poppler::document> open_pdf(std::string_view file) {
  check_ends(file);
  if (file.size() > INT32_MAX) throw DecodeError("the PDF is larger than 2 GiB");
  std::unique_ptr<poppler::document> pdf(poppler::document::load_from_raw_data(file.data(), static_cast<int>(file.size())));
  if (pdf == nullptr) throw DecodeError("the PDF is damaged: it cannot be opened");
  if (pdf->is_locked()) throw DecodeError("the PDF is encrypted and needs a password");
  return pdf;
}

Reply pdf_text(const json::object& request, std::string_view file) {
  const auto max_pages = request.at("max_pages").to_number<int>();
  const auto max_text_bytes = request.at("max_text_bytes").to_number<size_t>();
  std::unique_ptr<poppler::document> pdf = open_pdf(file);
  const int pages = pdf->pages();
  if (pages <= 0) throw DecodeError("the PDF has no pages");
  if (pages > max_pages) throw DecodeError("the PDF has " + std::to_string(pages) + " pages; the limit is " + std::to_string(max_pages));
  Reply reply;
  json::array sizes;
  for (int i = 0; i < pages; ++i) {
    std::unique_ptr<poppler::page> page(pdf->create_page(i));
    if (page == nullptr)
      throw DecodeError("the PDF is damaged: page " + std::to_string(i + 1) + " of " + std::to_string(pages) + " cannot be read");
    const size_t before = reply.body.size();
    append_utf8(page->text(poppler::rectf(), poppler::page::non_raw_non_physical_layout), reply.body);
    if (reply.body.size() > max_text_bytes)
      throw DecodeError("the PDF holds more than " + std::to_string(max_text_bytes) + " bytes of text");
    sizes.emplace_back(reply.body.size() - before);
  }
  reply.header = {{"ok", true}, {"page_count", pages}, {"sizes", std::move(sizes)}, {"info", read_info(*pdf)}};
  return reply;
}

// ---- requests -------------------------------------------------------------------------------------------------------

Reply answer(std::string_view header, std::string_view body) {
  json::object request = json::parse(header).as_object();
  limit_cpu(request.at("cpu_seconds").to_number<uint64_t>());
  const json::value& kind = request.at("kind");
  if (kind == "pdf_text") return pdf_text(request, body);
  throw DecodeError("requests of kind " + json::serialize(kind) + " are not known");
}

Reply failure(std::string_view what) { return {{{"ok", false}, {"error", what}}, ""}; }

Reply answer_or_fail(std::string_view header, std::string_view body) {
  try {
    return answer(header, body);
  } catch (const std::bad_alloc&) {
    return failure("decoding needs more memory than is allowed");
  } catch (const std::exception& e) {
    return failure(e.what());
  }
}

int serve() {
  for (;;) {
    std::optional<std::string> header = read_frame(kMaxHeaderBytes);
    if (!header) return 0;
    std::optional<std::string> body = read_frame(kMaxRequestBytes);
    if (!body) return 1;
    Reply reply = answer_or_fail(*header, *body);
    body.reset();
    write_frame(json::serialize(reply.header));
    write_frame(reply.body);
  }
}

int run(uint64_t memory_bytes) {
  poppler::set_debug_error_function([](const std::string&, void*) {}, nullptr);
  load_conversions();
  enter_sandbox(memory_bytes);
  return serve();
}

}  // namespace
}  // namespace quarry::extract

int main(int argc, char** argv) {
  uint64_t memory_bytes = 0;
  if (argc != 2 || std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), memory_bytes).ec != std::errc()) return 64;
  return quarry::extract::run(memory_bytes);
}
