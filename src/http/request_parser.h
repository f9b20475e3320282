// Beast's HTTP/1 parser, filling an Exchange: request line and headers into its head, body bytes into its body.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace quarry::http {

inline constexpr uint32_t kMaxHeadBytes = 32 << 10;
inline constexpr size_t kMaxHeaders = 128;

// For one request; not reusable. The exchange outlives it.
class RequestParser final : public boost::beast::http::basic_parser<true> {
 public:
  explicit RequestParser(Exchange& exchange);

  // Bodies past this are refused with error::body_limit: set before the first body byte is put.
  void set_body_limit(uint64_t bytes) { body_limit_bytes_ = bytes; }
  // What the request line and headers break of RFC 9112 beyond syntax; empty if nothing.
  std::string_view complaint() const;

 private:
  using Verb = boost::beast::http::verb;
  using Field = boost::beast::http::field;
  using Code = boost::beast::error_code;
  using Text = boost::beast::string_view;

  void on_request_impl(Verb verb, Text method, Text target, int version, Code& ec) override;
  void on_response_impl(int, Text, int, Code&) override {}
  void on_field_impl(Field field, Text name, Text value, Code& ec) override;
  void on_header_impl(Code&) override;
  void on_body_init_impl(const boost::optional<uint64_t>& length, Code&) override;
  std::size_t on_body_impl(Text bytes, Code& ec) override { return take_body(bytes, ec); }
  void on_chunk_header_impl(uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(uint64_t, Text bytes, Code& ec) override { return take_body(bytes, ec); }
  void on_finish_impl(Code&) override {}
  std::size_t take_body(Text bytes, Code& ec);

  Exchange& exchange_;
  uint64_t body_limit_bytes_ = 0;
  size_t hosts_ = 0;
  bool foreign_transfer_encoding_ = false;
};

}  // namespace quarry::http
