#include "mvs/warm/json_text.h"

#include <arrow/util/utf8.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>

namespace quarry::mvs {
namespace {

// Receives the events of boost::json's parser. That parser's own doubles are off by an ulp or two (Boost 1.81), so they are made here, from
// their text. Members of the root that are not wanted are tokenised and dropped.
class ExactHandler {
 public:
  static constexpr size_t max_object_size = size_t(-1), max_array_size = size_t(-1), max_key_size = size_t(-1),
                          max_string_size = size_t(-1);
  using error_code = boost::system::error_code;

  explicit ExactHandler(const std::span<const std::string_view>* names) : names_(names) { stack_.reset(); }

  json::value release() { return stack_.release(); }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return begin(); }
  bool on_array_begin(error_code&) { return begin(); }
  bool on_object_end(size_t n, error_code&) {
    --depth_;
    if (!skipping()) stack_.push_object(depth_ == 0 ? kept_ : n);
    return end();
  }
  bool on_array_end(size_t n, error_code&) {
    --depth_;
    if (!skipping()) stack_.push_array(n);
    return end();
  }
  bool on_key_part(json::string_view part, size_t, error_code&) {
    if (depth_ == 1)
      key_.append(part.data(), part.size());
    else if (!skipping())
      stack_.push_chars(part);
    return true;
  }
  bool on_key(json::string_view rest, size_t, error_code&) {
    if (depth_ != 1) {
      if (!skipping()) stack_.push_key(rest);
      return true;
    }
    key_.append(rest.data(), rest.size());
    skip_ = names_ != nullptr && std::find(names_->begin(), names_->end(), key_) == names_->end();
    if (!skip_) {
      stack_.push_key(key_);
      ++kept_;
    }
    key_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, size_t, error_code&) {
    if (!skipping()) stack_.push_chars(part);
    return true;
  }
  bool on_string(json::string_view rest, size_t, error_code&) {
    if (!skipping()) stack_.push_string(rest);
    return end();
  }
  bool on_number_part(json::string_view part, error_code&) {
    number_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t v, json::string_view, error_code&) {
    if (!skipping()) stack_.push_int64(v);
    return end();
  }
  bool on_uint64(uint64_t v, json::string_view, error_code&) {
    if (!skipping()) stack_.push_uint64(v);
    return end();
  }
  bool on_double(double v, json::string_view rest, error_code&) {
    number_.append(rest.data(), rest.size());
    double exact = v;
    std::from_chars(number_.data(), number_.data() + number_.size(), exact);
    if (!skipping()) stack_.push_double(exact);
    return end();
  }
  bool on_bool(bool v, error_code&) {
    if (!skipping()) stack_.push_bool(v);
    return end();
  }
  bool on_null(error_code&) {
    if (!skipping()) stack_.push_null();
    return end();
  }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

 private:
  bool begin() {
    ++depth_;
    return true;
  }
  bool end() {
    number_.clear();
    if (depth_ <= 1) skip_ = false;
    return true;
  }
  bool skipping() const { return skip_; }

  const std::span<const std::string_view>* const names_;  // null: all
  json::value_stack stack_;
  std::string key_, number_;
  size_t depth_ = 0, kept_ = 0;
  bool skip_ = false;  // inside a member of the root that is not wanted
};

Result<json::object> parse(std::string_view text, const std::span<const std::string_view>* names) {
  json::parse_options options;
  options.max_depth = kMaxPayloadDepth + 2;
  json::basic_parser<ExactHandler> parser(options, names);
  boost::system::error_code ec;
  const size_t read = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && read == text.size() && parser.done()) {
    json::value value = parser.handler().release();
    if (value.is_object()) return std::move(value.get_object());
  }
  return corruption(fmt::format("stored payload is not a JSON object: {} at byte {}", ec ? ec.message() : "wrong form", read));
}

Status check_at_depth(const json::value& value, std::string_view where, size_t depth) {
  if (depth > kMaxPayloadDepth) return bad_request(fmt::format("{}: nested deeper than {} levels", where, kMaxPayloadDepth));
  if (value.is_string() && !is_utf8(value.get_string())) return bad_request(fmt::format("{}: text is not valid UTF-8", where));
  if (value.is_array())
    for (const auto& item : value.get_array()) QUARRY_RETURN_IF_ERROR(check_at_depth(item, where, depth + 1));
  if (value.is_object())
    for (const auto& member : value.get_object()) {
      if (!is_utf8(member.key())) return bad_request(fmt::format("{}: a name is not valid UTF-8", where));
      QUARRY_RETURN_IF_ERROR(check_at_depth(member.value(), where, depth + 1));
    }
  if (value.is_double() && !(value.get_double() - value.get_double() == 0))
    return bad_request(fmt::format("{}: a number is not finite", where));
  return Ok{};
}

}  // namespace

void append_member(std::string& out, std::string_view key, const json::value& value) {
  out += json::serialize(json::string_view(key));
  out += ':';
  out += json::serialize(value);
}

bool is_utf8(std::string_view text) {
  static const bool initialized = (arrow::util::InitializeUTF8(), true);
  return initialized && arrow::util::ValidateUTF8(reinterpret_cast<const uint8_t*>(text.data()), int64_t(text.size()));
}

Status check_payload(const json::value& value, std::string_view where) { return check_at_depth(value, where, 1); }

Result<json::object> parse_object(std::string_view text) { return parse(text, nullptr); }

Result<json::object> parse_members(std::string_view text, std::span<const std::string_view> names) { return parse(text, &names); }

}  // namespace quarry::mvs
