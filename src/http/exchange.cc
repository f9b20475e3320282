#include "http/exchange.h"

namespace quarry::http {
namespace {

constexpr size_t kKeptBodyBytes = 1 << 20;  // a larger buffer is given back between requests

void clear_bounded(std::string& buffer) {
  if (buffer.capacity() > kKeptBodyBytes)
    std::string().swap(buffer);
  else
    buffer.clear();
}

}  // namespace

void RequestHead::clear() {
  method = Method::kOther;
  version = 11;
  keep_alive = true;
  chunked = expects_continue = false;
  content_length.reset();
  text_.clear();
  target_ = {};
  headers_.clear();
}

RequestHead::Span RequestHead::append(std::string_view text) {
  Span span{static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(text.size())};
  text_ += text;
  return span;
}

void RequestHead::set_target(std::string_view target) { target_ = append(target); }

void RequestHead::add_header(std::string_view name, std::string_view value) {
  Field field{append(name), append(value)};
  for (uint32_t i = 0; i < field.name.length; ++i) {
    char& c = text_[field.name.begin + i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  headers_.push_back(field);
}

std::string_view RequestHead::header(std::string_view lower_name) const {
  for (const Field& field : headers_)
    if (view(field.name) == lower_name) return view(field.value);
  return {};
}

void Response::clear() {
  status = 200;
  content_type = "application/json";
  clear_bounded(body);
  fixed_body = {};
  source = {};
  headers.clear();
  close = false;
}

void Response::add_header(std::string_view name, std::string_view value) {
  auto append = [this](std::string_view text) {
    for (char c : text) headers.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
  };
  append(name);
  headers += ": ";
  append(value);
  headers += "\r\n";
}

void Exchange::drop_body() { clear_bounded(body); }

void Exchange::clear() {
  head.clear();
  drop_body();
  request_id.clear();
  operation = nullptr;
  path_values.clear();
  query = {};
  context.reset();
  response.clear();
  answered = false;
}

}  // namespace quarry::http
