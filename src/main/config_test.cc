#include "main/config.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace quarry {
namespace {

namespace fs = std::filesystem;

class ConfigTest : public testing::Test {
 protected:
  fs::path write(const std::string& text) {
    fs::path file = fs::path(testing::TempDir()) / "config_test.toml";
    EXPECT_TRUE(write_file_atomic(file, text).ok());
    return file;
  }
};

TEST_F(ConfigTest, TheLaterSourceWins) {
  fs::path file = write("listen = \"127.0.0.1:1\"\n[http]\nio_threads = 3\nhandler_threads = 4\n");
  auto config = Config::load(file, {{"QUARRY_HTTP_IO_THREADS", "5"}, {"QUARRY_LISTEN", "127.0.0.1:2"}}, {{"listen", "127.0.0.1:3"}});
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->text("listen"), "127.0.0.1:3");
  EXPECT_EQ(config->origin("listen"), "--listen");
  EXPECT_EQ(config->integer("http.io_threads"), 5);
  EXPECT_EQ(config->origin("http.io_threads"), "QUARRY_HTTP_IO_THREADS");
  EXPECT_EQ(config->integer("http.handler_threads"), 4);
  EXPECT_EQ(config->origin("http.handler_threads"), file.string() + ":4");
  EXPECT_EQ(config->origin("model.precision"), "default");
}

TEST_F(ConfigTest, AnUnknownKeyNamesTheNearest) {
  auto config = Config::load(write("[http]\nio_thread = 3\n"), {}, {});
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find("did you mean 'http.io_threads'"), std::string::npos) << config.error().message;
  EXPECT_NE(config.error().message.find(":2"), std::string::npos) << config.error().message;
}

TEST_F(ConfigTest, IllTypedValuesAreRefusedWithTheirPlace) {
  for (const char* text : {"[http]\nmax_body_bytes = \"many\"\n", "[urls]\nallow_private = \"yes\"\n", "[http]\nio_threads = -1\n",
                           "listen = 1.5\n", "listen = [\"a\"]\n", "= 1\n"}) {
    auto config = Config::load(write(text), {}, {});
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_NE(config.error().message.find("config_test.toml"), std::string::npos) << config.error().message;
  }
}

TEST(ParseBytesTest, ReadsUnitsAndRefusesOverflow) {
  EXPECT_EQ(parse_bytes("1024").value(), 1024u);
  EXPECT_EQ(parse_bytes("64MiB").value(), 64u << 20);
  EXPECT_EQ(parse_bytes("2 GB").value(), 2'000'000'000u);
  for (const char* bad : {"", "x", "1.5GB", "12QB", "-1", "99999999999TiB"}) EXPECT_FALSE(parse_bytes(bad).ok()) << bad;
}

}  // namespace
}  // namespace quarry
