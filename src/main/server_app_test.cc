#include "main/server_app.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace quarry {
namespace {

namespace fs = std::filesystem;

TEST(ServerAppTest, KeysAreMadeInTheCatalogThatTheServerUses) {
  std::string pattern = (fs::path(testing::TempDir()) / "app-XXXXXX").string();
  fs::path root = fs::path(mkdtemp(pattern.data())) / "data";
  auto config = Config::load("", {}, {{"data", root.string()}, {"catalog.url", "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"}});
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_FALSE(reset_admin_key(*config).ok()) << "nothing answers at that address";
  EXPECT_FALSE(add_organization(*config, "second").ok());
  EXPECT_FALSE(fs::exists(root / "catalog.db"));
  fs::remove_all(root.parent_path());
}

}  // namespace
}  // namespace quarry
