#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "base/clock.h"
#include "base/rng.h"
#include "extract/extract.h"
#include "extract/media/decode_process.h"
#include "extract/media/decode_protocol.h"
#include "extract/media/decode_reply.h"
#include "extract/media/test_pdf.h"
#include "extract/test_paths.h"

namespace quarry::extract {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::unique_ptr<Decoder> decoder(Decoder::Options options = {}) {
  if (options.program.empty()) options.program = test_decode_program();
  return Decoder::make(std::move(options));
}

std::string error_of(Decoder& from, std::string_view bytes) {
  auto text = from.pdf_text(bytes);
  if (text.ok()) return "";
  EXPECT_EQ(text.error().kind, ErrorKind::kExtraction);
  return text.error().message;
}

TEST(Decoder, ReadsThePagesOfAPdf) {
  auto text = decoder()->pdf_text(TestPdf({"First page", "", "Third page: caf\\351"}).bytes());
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(text->page_count, 3u);
  ASSERT_EQ(text->pages.size(), 3u);
  EXPECT_THAT(text->pages[0].text, HasSubstr("First page"));
  EXPECT_EQ(text->pages[1].number, 2u);
  EXPECT_EQ(text->pages[1].text.find_first_not_of(" \n\f"), std::string::npos);
  EXPECT_THAT(text->pages[2].text, HasSubstr("Third page: café"));
  EXPECT_EQ(text->info.at("title"), "A test");
  EXPECT_EQ(text->info.at("created_at"), "2024-01-02T03:04:05Z");
}

TEST(Decoder, SaysWhatIsWrongWithAFile) {
  auto any = decoder();
  const std::string whole = TestPdf({"one", "two", "three"}).bytes();
  EXPECT_THAT(error_of(*any, ""), HasSubstr("empty"));
  EXPECT_THAT(error_of(*any, "plain text"), HasSubstr("not a PDF"));
  EXPECT_THAT(error_of(*any, std::string_view(whole).substr(0, whole.size() / 2)), HasSubstr("truncated"));
  EXPECT_THAT(error_of(*any, TestPdf({}).bytes()), HasSubstr("no pages"));
  EXPECT_THAT(error_of(*any, TestPdf({"secret"}, test_encryption()).bytes()), HasSubstr("encrypted"));
  EXPECT_THAT(error_of(*any, "%PDF-1.4\nnothing here\nstartxref\n0\n%%EOF\n"), HasSubstr("PDF"));
  EXPECT_TRUE(any->pdf_text(whole).ok()) << "the decoder goes on";
}

TEST(Decoder, DamagedBytesNeverHurt) {
  auto any = decoder();
  const std::string whole = TestPdf({"one page of text", "and another"}).bytes();
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = whole;
    for (uint64_t n = 1 + rng.below(20); n > 0; --n) bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    auto text = any->pdf_text(bytes);
    if (!text.ok()) {
      EXPECT_EQ(text.error().kind, ErrorKind::kExtraction);
    }
  }
  EXPECT_TRUE(any->pdf_text(whole).ok());
}

TEST(Decoder, AFileOverTheMemoryLimitIsRefusedAndTheNextIsRead) {
  auto small = decoder({.program = {}, .processes = 1, .memory_bytes = 256 << 20});
  EXPECT_THAT(error_of(*small, std::string(200 << 20, 'x')), HasSubstr("over the decoder's limit"));
  EXPECT_TRUE(small->pdf_text(TestPdf({"fine"}).bytes()).ok());
}

TEST(Decoder, ManyThreadsShareFewProcesses) {
  auto shared = decoder({.program = {}, .processes = 2});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        std::string line = "thread " + std::to_string(t) + " file " + std::to_string(i);
        auto text = shared->pdf_text(TestPdf({line}).bytes());
        if (!text.ok() || text->pages[0].text.find(line) == std::string::npos) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(Decoder, AProgramThatIsAbsentIsNamed) {
  auto text = decoder({.program = "/nonexistent/quarry-decode"})->pdf_text("%PDF-1.4");
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().kind, ErrorKind::kInternal);
  EXPECT_THAT(text.error().message, HasSubstr("/nonexistent/quarry-decode"));
}

// Children that misbehave, as shell scripts.
class BadChild : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("quarry_decoder_test_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string error_from(const std::string& script, int64_t timeout_ms = 20'000) {
    fs::path path = folder_ / "child";
    std::ofstream(path, std::ios::trunc) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(path, fs::perms::owner_all);
    return error_of(*decoder({.program = path, .processes = 1, .timeout_ms = timeout_ms}), "%PDF-1.4");
  }
  fs::path folder_;
};

TEST_F(BadChild, IsReplacedAndItsEndExplained) {
  EXPECT_THAT(error_from("kill -SEGV $$"), HasSubstr("crashed"));
  EXPECT_THAT(error_from("kill -XCPU $$"), HasSubstr("processor time"));
  EXPECT_THAT(error_from("exec cat > /dev/null", 200), HasSubstr("time limit"));
  EXPECT_THAT(error_from("exec sleep 100", 200), HasSubstr("time limit"));
  EXPECT_THAT(error_from("printf '\\377\\377\\377\\377'; exec sleep 100"), HasSubstr("over the limit"));
  EXPECT_THAT(error_from("printf '\\004\\000\\000\\000oops\\000\\000\\000\\000'; exec sleep 100"), HasSubstr("not well formed"));
}

TEST_F(BadChild, AFailedChildCostsOneFileOnly) {
  fs::path once = folder_ / "once", marker = folder_ / "marker";
  std::ofstream(once) << "#!/bin/sh\nif [ ! -e " << marker << " ]; then : > " << marker << "; kill -SEGV $$; fi\nexec "
                      << test_decode_program() << " \"$@\"\n";
  fs::permissions(once, fs::perms::owner_all);
  auto flaky = decoder({.program = once, .processes = 1});
  EXPECT_THAT(error_of(*flaky, TestPdf({"x"}).bytes()), HasSubstr("crashed"));
  EXPECT_TRUE(flaky->pdf_text(TestPdf({"x"}).bytes()).ok());
}

// A "server" starts a decoder and is killed; the orphan comes to this process, which sees it end by itself.
TEST(DecodeProcess, TheChildEndsWhenItsServerDoes) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const pid_t server = fork();
  if (server == 0) {
    auto child = DecodeProcess::start(test_decode_program(), 1 << 30);
    if (!child.ok()) _exit(1);
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(server, &status, 0), server);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the decoder did not start";
  pid_t orphan = 0;
  const int64_t deadline = system_clock().steady_us() + 20'000'000;
  while ((orphan = waitpid(-1, &status, WNOHANG)) == 0 && system_clock().steady_us() < deadline) std::this_thread::yield();
  prctl(PR_SET_CHILD_SUBREAPER, 0);
  EXPECT_GT(orphan, 0) << "still there after 20 s";
}

TEST(DecodeReply, BelievesNothing) {
  for (const char* header :
       {"", "[]", "{}", R"({"ok": 1})", R"({"ok": false})", R"({"ok": true})", R"({"ok": true, "sizes": []})",
        R"({"ok": true, "sizes": [5]})", R"({"ok": true, "sizes": [-1]})", R"({"ok": true, "sizes": [1.5]})",
        R"({"ok": true, "sizes": ["4"]})", R"({"ok": true, "sizes": [3]})", R"({"ok": true, "sizes": [4294967295, 5]})"})
    EXPECT_FALSE(parse_pdf_reply(header, "text").ok()) << header;
  auto good = parse_pdf_reply(R"({"ok": true, "sizes": [1, 3], "info": {"title": "t", "evil": {"deep": 1}, "author": 3}})", "t\xFFxt");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good->pages[1].text, "\xEF\xBF\xBDxt");
  EXPECT_EQ(good->info, (json::object{{"title", "t"}}));
  EXPECT_EQ(parse_pdf_reply(R"({"ok": false, "error": "why"})", "").error().message, "why");
}

TEST(DecodeProtocol, LengthsSurvive) {
  for (uint32_t length : {0u, 1u, 255u, 256u, 65'536u, 0x01020304u, UINT32_MAX}) EXPECT_EQ(decode_length(encode_length(length)), length);
}

}  // namespace
}  // namespace quarry::extract
