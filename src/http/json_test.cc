#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "http/json_decoder.h"
#include "http/json_encoder.h"

namespace quarry::http {
namespace {

constexpr size_t kDepth = 64;

std::string encode(const json::value& value) {
  std::string out;
  encode_json(value, out);
  return out;
}

TEST(JsonDecoder, Accepts) {
  for (const char* text : {"null", "1", "-0.5e3", "\"x\"", "[]", "{}", " { \"a\" : [ 1 , 2 ] } \n", "1e308", "\"\\u00e4\\ud83d\\ude00\""})
    EXPECT_TRUE(decode_json(text, kDepth).ok()) << text;
  EXPECT_EQ(*decode_json(R"({"a":1,"a":2})", kDepth), (json::object{{"a", 2}}));
}

TEST(JsonDecoder, Refuses) {
  for (const char* text : {"",
                           "{",
                           "[1,",
                           "{\"a\"}",
                           "nul",
                           "NaN",
                           "[Infinity]",
                           "-",
                           "01",
                           "1.",
                           "'x'",
                           "\"\\x\"",
                           "\"\x01\"",
                           "[1]]",
                           "{} {}",
                           "// c\n1",
                           "\"\xff\"",
                           "\"\xed\xa0\x80\"",
                           "\"\\ud800\"",
                           "1e999",
                           "[1,[-1e400]]",
                           "{\"a\":1e309}",
                           "\xef\xbb\xbf{}"}) {
    auto value = decode_json(text, kDepth);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.error().kind, ErrorKind::kValidation);
    EXPECT_EQ(value.error().details.at("validation_errors").at(0).at("location").at(0), "body");
  }
}

TEST(JsonDecoder, SaysWhere) {
  auto value = decode_json(R"({"a": 1, "b": oops})", kDepth);
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.error().details.at("validation_errors").at(0).at("location").at(1), 14);
  EXPECT_NE(value.error().message.find("byte 14"), std::string::npos) << value.error().message;
}

TEST(JsonDecoder, NestingIsBounded) {
  std::string fits = std::string(kDepth, '[') + std::string(kDepth, ']');
  EXPECT_TRUE(decode_json(fits, kDepth).ok());
  for (size_t depth : {kDepth + 1, size_t{10'000}, size_t{1'000'000}}) {
    for (const std::string& text : {std::string(depth, '['), std::string(depth, '[') + std::string(depth, ']')}) {
      auto value = decode_json(text, kDepth);
      ASSERT_FALSE(value.ok());
      EXPECT_EQ(value.error().details.at("validation_errors").at(0).at("type"), "json_too_deep");
    }
  }
  std::string objects;
  for (int i = 0; i < 10'000; ++i) objects += R"({"a":)";
  EXPECT_FALSE(decode_json(objects, kDepth).ok());
}

TEST(JsonEncoder, Numbers) {
  EXPECT_EQ(encode(0.1), "0.1");
  EXPECT_EQ(encode(1.0), "1.0");
  EXPECT_EQ(encode(-0.0), "-0.0");
  EXPECT_EQ(encode(1e300), "1e+300");
  EXPECT_EQ(encode(std::numeric_limits<int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(encode(std::numeric_limits<uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(encode(std::nan("")), "null");
  EXPECT_EQ(encode(-std::numeric_limits<double>::infinity()), "null");
}

TEST(JsonEncoder, DoublesReadBackBitForBit) {
  uint64_t state = 88172645463325252ull;
  for (int i = 0; i < 20'000; ++i) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    double number = std::bit_cast<double>(state);
    if (!std::isfinite(number)) continue;
    auto back = decode_json(encode(number), kDepth);
    ASSERT_TRUE(back.ok());
    ASSERT_TRUE(back->is_double()) << encode(number);
    EXPECT_EQ(std::bit_cast<uint64_t>(back->get_double()), state) << encode(number);
  }
}

TEST(JsonDecoder, ShortNumbersAreExactToo) {
  for (int digits = 1; digits <= 12; ++digits) {
    for (int i = 0; i < 2'000; ++i) {
      std::string text = std::to_string(i * 7919 + 13) + "." + std::string(static_cast<size_t>(digits - 1), '0') + std::to_string(i % 10);
      EXPECT_EQ(decode_json("-" + text, kDepth)->get_double(), -std::strtod(text.c_str(), nullptr)) << text;
    }
  }
  for (const char* text :
       {"1e22", "1e23", "1.5e-7", "9007199254740993.0", "123456789012345678901234567890", "4.9e-324", "2.2250738585072011e-308"})
    EXPECT_EQ(decode_json(text, kDepth)->get_double(), std::strtod(text, nullptr)) << text;
}

TEST(JsonEncoder, Strings) {
  EXPECT_EQ(encode("a\"b\\c\n\r\t\x01\x1f€"), "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u001f€\"");
  EXPECT_EQ(encode(json::string(std::string_view("a\0b", 3))), "\"a\\u0000b\"");
}

TEST(JsonEncoder, EveryByteAtEveryPlaceOfAWord) {
  for (int byte = 0; byte < 0x80; ++byte)
    for (size_t at = 0; at < 20; ++at) {
      std::string text(20, 'x');
      text[at] = static_cast<char>(byte);
      const std::string encoded = encode(json::string(text));
      auto back = decode_json(encoded, kDepth);
      ASSERT_TRUE(back.ok()) << encoded;
      EXPECT_EQ(back->get_string(), text);
      const bool plain = byte >= 0x20 && byte != '"' && byte != '\\';
      EXPECT_EQ(encoded.size() == text.size() + 2, plain) << encoded;
    }
  const std::string high = "äöü€😀äöü€😀";
  EXPECT_EQ(encode(json::string(high)), '"' + high + '"');
}

TEST(JsonEncoder, AnAliasRepeatsAMember) {
  const json::object object{{"a", 1}, {"results", {{{"id", "x\n"}}, 2}}, {"z", nullptr}};
  std::string out;
  encode_json_with_alias(object, "results", "documents", out);
  EXPECT_EQ(out, R"({"a":1,"results":[{"id":"x\n"},2],"documents":[{"id":"x\n"},2],"z":null})");
  out.clear();
  encode_json_with_alias(object, "absent", "documents", out);
  EXPECT_EQ(out, R"({"a":1,"results":[{"id":"x\n"},2],"z":null})");
}

TEST(JsonEncoder, RoundTrip) {
  const char* text = R"({"a":[1,2.5,true,null,"x"],"b":{"c":{}},"d":[]})";
  EXPECT_EQ(encode(*decode_json(text, kDepth)), text);
}

}  // namespace
}  // namespace quarry::http
