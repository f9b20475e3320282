// One request and its reply on their way through the server. Reused for every request of a connection, so that buffers are kept.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/contract.h"
#include "model/context.h"

namespace quarry::http {

// A request line and headers. Everything lives in one buffer that the next request overwrites.
class RequestHead {
 public:
  Method method = Method::kOther;
  int version = 11;
  bool keep_alive = true;
  bool chunked = false;
  bool expects_continue = false;
  std::optional<uint64_t> content_length;

  void clear();
  void set_target(std::string_view target);
  // Names are kept in lower case.
  void add_header(std::string_view name, std::string_view value);

  std::string_view target() const { return view(target_); }
  size_t header_count() const { return headers_.size(); }
  std::string_view header_name(size_t i) const { return view(headers_[i].name); }
  std::string_view header_value(size_t i) const { return view(headers_[i].value); }
  // The first of that name; empty if absent.
  std::string_view header(std::string_view lower_name) const;
  bool has_body() const { return chunked || content_length.value_or(0) > 0; }

 private:
  struct Span {
    uint32_t begin = 0, length = 0;
  };
  struct Field {
    Span name, value;
  };
  Span append(std::string_view text);
  std::string_view view(Span span) const { return std::string_view(text_).substr(span.begin, span.length); }

  std::string text_;
  Span target_;
  std::vector<Field> headers_;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string_view fixed_body;  // sent instead of `body` when not empty; outlives the server
  service::BodySource source;   // sent instead of both when it can be read
  std::string headers;          // complete lines, each ending in CRLF
  bool close = false;           // the connection ends after this reply

  void clear();
  // Line breaks and other control characters in `value` become spaces: nothing can smuggle a header in.
  void add_header(std::string_view name, std::string_view value);
  std::string_view payload() const { return fixed_body.empty() ? std::string_view(body) : fixed_body; }
  uint64_t content_length() const { return source.read ? source.size : payload().size(); }
};

struct Exchange {
  RequestHead head;
  std::string body;
  std::string request_id;
  const Operation* operation = nullptr;  // null: not an operation of the contract
  std::vector<std::string> path_values;
  std::string_view query;                 // into head
  std::optional<RequestContext> context;  // once admitted
  Response response;
  bool answered = false;
  int64_t started_us = 0;

  void clear();
  // Gives a large body's memory back; called once the request is handled, because its reply may take long to send.
  void drop_body();
};

}  // namespace quarry::http
