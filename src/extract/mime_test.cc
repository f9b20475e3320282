#include <gtest/gtest.h>

#include "base/rng.h"
#include "extract/extract.h"
#include "extract/media/test_pdf.h"

namespace quarry::extract {
namespace {

using namespace std::string_literals;

TEST(DetectMimeType, BinaryFormatsByContentWhateverTheName) {
  const std::pair<std::string, const char*> cases[] = {
      {TestPdf({"x"}).bytes(), "application/pdf"},
      {"junk before\n%PDF-1.7", "application/pdf"},
      {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"s, "image/png"},
      {"\xFF\xD8\xFF\xE0\0\x10JFIF"s, "image/jpeg"},
      {"GIF89a\1\0\1\0"s, "image/gif"},
      {"RIFF\x24\0\0\0WEBPVP8 "s, "image/webp"},
      {"RIFF\x24\0\0\0WAVEfmt "s, "audio/wav"},
      {"RIFF\x24\0\0\0AVI LIST"s, "video/x-msvideo"},
      {"II*\0\x08\0\0\0"s, "image/tiff"},
      {"MM\0*\0\0\0\x08"s, "image/tiff"},
      {"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"s, "image/bmp"},
      {"ID3\x04\0\0"s, "audio/mpeg"},
      {"\xFF\xFB\x90\x64"s, "audio/mpeg"},
      {"\xFF\xF1\x50\x80"s, "audio/aac"},
      {"fLaC\0\0\0\x22"s, "audio/flac"},
      {"OggS\0\2\0\0vorbis"s, "audio/ogg"},
      {"OggS\0\2\0\0\x80theora"s, "video/ogg"},
      {"\0\0\0\x20"
       "ftypisom"s,
       "video/mp4"},
      {"\0\0\0\x14"
       "ftypqt  "s,
       "video/quicktime"},
      {"\0\0\0\x20"
       "ftypM4A "s,
       "audio/mp4"},
      {"\x1A\x45\xDF\xA3\x01\x42\x82\x84webm"s, "video/webm"},
      {"\x1A\x45\xDF\xA3\x01\x42\x82\x88matroska"s, "video/x-matroska"},
      {"PK\3\4\x14\0\0\0\x08\0a.txt"s, "application/zip"},
      {"PK\3\4\x14\0\6\0\x08\0word/document.xml"s, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
      {"PK\3\4\x14\0\6\0\x08\0xl/workbook.xml"s, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
      {"\x1F\x8B\x08\0\0"s, "application/gzip"},
      {"\x7F"
       "ELF\2\1\1"s,
       "application/x-executable"},
      {"\0\1\2\3\4"s, "application/octet-stream"},
      {"\xFF\xFE\x41\0"s, "text/plain"},
      {std::string(300, '\0'), "application/octet-stream"}};
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(detect_mime_type(bytes, "lies.txt"), expected);
}

TEST(DetectMimeType, TextByContentFirstThenByName) {
  const std::tuple<std::string, const char*, const char*> cases[] = {
      {"Just prose.\n", "a.txt", "text/plain"},
      {"Just prose.\n", "", "text/plain"},
      {"# Title\n\ntext", "README.md", "text/markdown"},
      {"a,b\n1,2\n", "t.CSV", "text/csv"},
      {"", "empty", "text/plain"},
      {"<!DOCTYPE html><html>", "a.txt", "text/html"},
      {"\n <!-- c --><HTML lang=en>", "", "text/html"},
      {"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC>", "a.xml", "text/html"},
      {"<?xml version=\"1.0\"?><book/>", "a", "application/xml"},
      {"<page xmlns=\"http://example.org/help\"><title/></page>", "a.page", "application/xml"},
      {"<!DOCTYPE book PUBLIC>", "a", "application/xml"},
      {"<?xml version=\"1.0\"?><svg xmlns=\"\"/>", "a", "image/svg+xml"},
      {"{\"a\": [1, 2]}", "x", "application/json"},
      {" [1, 2, 3]\n", "x", "application/json"},
      {"[not json", "x", "text/plain"},
      {"{\"a\": 1", "x", "text/plain"},
      {"{\"a\":1}\n{\"a\":2}\n", "x.jsonl", "application/x-ndjson"},
      {"caf\xC3\xA9", "x", "text/plain"},
      {"caf\xE9", "x.txt", "text/plain"},
      {"\xE9\xE8\xE9", "x.txt", "application/octet-stream"},
      {"\xD0\xBC\xD0\xB8\xD1\x80", "x", "text/plain"},
      {"a\fb\x1B[1m", "x", "text/plain"},
      {"<p>hi</p>", "x", "text/html"},
      {"1 < 2", "x", "text/plain"},
      {"BMW is a brand of cars", "x", "text/plain"}};
  for (const auto& [bytes, name, expected] : cases) EXPECT_EQ(detect_mime_type(bytes, name), expected) << bytes;
}

TEST(DetectMimeType, LongFilesAreJudgedByTheirBeginning) {
  std::string text;
  while (text.size() < 100'000) text += "\xE6\x97\xA5";  // cut inside a sequence at 65,536
  EXPECT_EQ(detect_mime_type(text, ""), "text/plain");
  EXPECT_EQ(detect_mime_type("[" + std::string(100'000, '1') + "]", ""), "application/json");
  EXPECT_EQ(detect_mime_type(std::string(100'000, '['), ""), "text/plain") << "too deep";
}

TEST(DetectMimeType, AnyBytesHaveAType) {
  Rng rng(5);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes(rng.below(64), '\0');
    for (char& c : bytes) c = static_cast<char>(rng.below(256));
    EXPECT_NE(detect_mime_type(bytes, "x"), "");
  }
}

TEST(FieldTypeOfMime, CoversTheFieldTypes) {
  EXPECT_EQ(field_type_of_mime("application/pdf"), FieldType::kPdf);
  EXPECT_EQ(field_type_of_mime("image/webp"), FieldType::kImage);
  EXPECT_EQ(field_type_of_mime("audio/wav"), FieldType::kAudio);
  EXPECT_EQ(field_type_of_mime("video/mp4"), FieldType::kVideo);
  EXPECT_EQ(field_type_of_mime("text/markdown"), FieldType::kText);
  EXPECT_EQ(field_type_of_mime("application/json"), FieldType::kText);
  EXPECT_EQ(field_type_of_mime("application/zip"), FieldType::kObject);
}

}  // namespace
}  // namespace quarry::extract
