#include "http/json_decoder.h"

#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>

#include <charconv>
#include <cmath>

namespace quarry::http {
namespace {

constexpr size_t kOwnBlockBytes = 16 << 10;
constexpr size_t kExactDigits = 15;  // any integer of so many digits is a double, and so is ten to the 22nd

// Small values live on the heap: handlers move their parts about and keep them.
json::storage_ptr storage_for(size_t text_bytes) {
  if (text_bytes < kOwnBlockBytes) return {};
  return json::make_shared_resource<json::monotonic_resource>(text_bytes);
}

// Builds the value. Boost's own handler is the same but for on_double: its conversion may be one unit in the last place off.
class Handler {
 public:
  static constexpr size_t max_object_size = json::object::max_size();
  static constexpr size_t max_array_size = json::array::max_size();
  static constexpr size_t max_key_size = json::string::max_size();
  static constexpr size_t max_string_size = json::string::max_size();

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return true; }
  bool on_array_end(size_t count, json::error_code&) { return stack_.push_array(count), true; }
  bool on_object_end(size_t count, json::error_code&) { return stack_.push_object(count), true; }
  bool on_key_part(json::string_view text, size_t, json::error_code&) { return stack_.push_chars(text), true; }
  bool on_key(json::string_view text, size_t, json::error_code&) { return stack_.push_key(text), true; }
  bool on_string_part(json::string_view text, size_t, json::error_code&) { return stack_.push_chars(text), true; }
  bool on_string(json::string_view text, size_t, json::error_code&) { return stack_.push_string(text), true; }
  bool on_number_part(json::string_view, json::error_code&) { return true; }  // the text is parsed in one piece
  bool on_int64(int64_t number, json::string_view, json::error_code&) { return stack_.push_int64(number), true; }
  bool on_uint64(uint64_t number, json::string_view, json::error_code&) { return stack_.push_uint64(number), true; }
  bool on_double(double number, json::string_view text, json::error_code& ec);
  bool on_bool(bool value, json::error_code&) { return stack_.push_bool(value), true; }
  bool on_null(json::error_code&) { return stack_.push_null(), true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  void reset(json::storage_ptr storage) { stack_.reset(std::move(storage)); }
  json::value release() { return stack_.release(); }

 private:
  json::value_stack stack_;
};

bool Handler::on_double(double number, json::string_view text, json::error_code& ec) {
  bool exact = text.size() <= kExactDigits + 1 && text.find_first_of("eE") == text.npos;
  if (!exact) {
    auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    bool underflow = failure == std::errc::result_out_of_range && std::abs(number) < 1;
    if (failure != std::errc() && !underflow) number = INFINITY;
  }
  if (!std::isfinite(number)) {
    ec = json::error::exponent_overflow;
    return false;
  }
  stack_.push_double(number);
  return true;
}

Error decode_error(json::error_code ec, size_t offset, size_t max_depth) {
  if (ec == json::error::too_deep)
    return validation_error("json_too_deep", {"body", offset}, fmt::format("the JSON body is nested deeper than {} levels", max_depth));
  if (ec == json::error::exponent_overflow)
    return validation_error("finite_number", {"body", offset},
                            fmt::format("the JSON body holds a number too large for a double at byte {}", offset));
  std::string reason = ec == json::error::incomplete ? "it ends too early" : ec.message();
  return validation_error("json_invalid", {"body", offset}, fmt::format("the body is not JSON: {} at byte {}", reason, offset));
}

}  // namespace

Result<json::value> decode_json(std::string_view text, size_t max_depth) {
  json::parse_options options;
  options.max_depth = max_depth;
  try {
    json::basic_parser<Handler> parser(options);
    parser.handler().reset(storage_for(text.size()));
    json::error_code ec;
    size_t read = parser.write_some(false, text.data(), text.size(), ec);
    if (!ec && read < text.size()) ec = json::error::extra_data;
    if (ec) return decode_error(ec, read, max_depth);
    return parser.handler().release();
  } catch (const std::bad_alloc&) {
    return Error{ErrorKind::kUnavailable, "not enough memory for this body now"};
  } catch (const std::exception& e) {
    return validation_error("json_invalid", {"body"}, std::string("the body is not JSON: ") + e.what());
  }
}

}  // namespace quarry::http
