#include "main/data_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace quarry {
namespace {

namespace fs = std::filesystem;

class DataFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::path(testing::TempDir()) / "folder-XXXXXX").string();
    root_ = fs::path(mkdtemp(pattern.data())) / "data";
  }
  void TearDown() override { fs::remove_all(root_.parent_path()); }
  fs::path root_;
};

TEST_F(DataFolderTest, IsMadeOnceAndKeepsItsSecret) {
  std::string secret;
  {
    auto folder = DataFolder::open(root_);
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    secret = folder->signing_secret();
    EXPECT_EQ(secret.size(), 32u);
  }
  EXPECT_EQ(read_format(root_).value(), kDataFormat);
  EXPECT_EQ(fs::status(root_ / "signing.key").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  auto again = DataFolder::open(root_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->signing_secret(), secret);
}

TEST_F(DataFolderTest, IsOpenedByOneServerAtATime) {
  auto first = DataFolder::open(root_);
  ASSERT_TRUE(first.ok());
  auto second = DataFolder::open(root_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::kConflict);
}

TEST_F(DataFolderTest, RefusesWhatIsNotItsOwn) {
  fs::create_directories(root_);
  ASSERT_TRUE(write_file_atomic(root_ / "letter.txt", "dear").ok());
  EXPECT_FALSE(DataFolder::open(root_).ok());
  EXPECT_FALSE(fs::exists(root_ / "FORMAT"));
}

TEST_F(DataFolderTest, IsMadeAfterADeathInTheMiddleOfMakingIt) {
  fs::create_directories(root_);
  ASSERT_TRUE(write_file_atomic(root_ / ".tmp-FORMAT-123-0", "quarry da").ok());
  auto folder = DataFolder::open(root_);
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(read_format(root_).value(), kDataFormat);
}

TEST_F(DataFolderTest, MigratesAnOlderFormatAfterABackup) {
  { ASSERT_TRUE(DataFolder::open(root_).ok()); }
  ASSERT_TRUE(write_file_atomic(root_ / "FORMAT", "quarry data folder, format 1\n").ok());
  ASSERT_TRUE(write_file_atomic(root_ / "catalog.db", "rows").ok());
  ASSERT_TRUE(DataFolder::open(root_).ok());
  EXPECT_EQ(read_format(root_).value(), kDataFormat);
  std::vector<fs::path> backups(fs::directory_iterator(root_ / "backups"), {});
  ASSERT_EQ(backups.size(), 1u);
  EXPECT_EQ(read_format(backups.front()).value(), 1);
  EXPECT_EQ(read_file(backups.front() / "catalog.db").value(), "rows");
  ASSERT_TRUE(DataFolder::open(root_).ok());  // there is nothing left to do
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "backups"), {}), 1);
}

TEST_F(DataFolderTest, RefusesNewerAndUnreadableFormats) {
  { ASSERT_TRUE(DataFolder::open(root_).ok()); }
  ASSERT_TRUE(write_file_atomic(root_ / "FORMAT", "quarry data folder, format 99\n").ok());
  auto newer = DataFolder::open(root_);
  ASSERT_FALSE(newer.ok());
  EXPECT_NE(newer.error().message.find("format 99"), std::string::npos);
  ASSERT_TRUE(write_file_atomic(root_ / "FORMAT", "gibberish").ok());
  auto torn = DataFolder::open(root_);
  ASSERT_FALSE(torn.ok());
  EXPECT_EQ(torn.error().kind, ErrorKind::kCorruption);
}

}  // namespace
}  // namespace quarry
