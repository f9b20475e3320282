#include "mvs/hot/paging.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/temporary_folder.h"
#include "mvs/hot/checked_file.h"

namespace quarry::mvs {
namespace {

constexpr size_t kBytes = 4 << 20;

// A mapped file whose pages are on the disk only.
class PagingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string bytes(kBytes, 'x');
    const std::string_view piece = bytes;
    ASSERT_TRUE(write_checked_file(path_, kRowsFile, 1, {&piece, 1}).ok());
    auto opened = CheckedFile::open(path_, kRowsFile, 1);
    ASSERT_TRUE(opened.ok());
    file_.emplace(std::move(*opened));
    file_->read_at_random();
    ASSERT_EQ(::madvise(at(0), kBytes, MADV_DONTNEED), 0);
    FileDescriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
    if (resident() > 0) GTEST_SKIP() << "the folder for temporary files lies in memory";
  }

  char* at(size_t offset) const { return const_cast<char*>(file_->data().data()) + offset; }
  size_t resident() const {
    std::vector<unsigned char> pages(kBytes / size_t(::sysconf(_SC_PAGESIZE)));
    EXPECT_EQ(::mincore(at(0), kBytes, pages.data()), 0);
    return size_t(std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return (page & 1) != 0; }));
  }
  char touch(size_t offset) const { return *static_cast<volatile char*>(at(offset)); }

  const TemporaryFolder folder_{"paging"};
  const std::filesystem::path path_ = folder_.path() / "rows";
  std::optional<CheckedFile> file_;
};

TEST_F(PagingTest, APageOnTheDiskIsReadAlone) {
  const uint64_t before = major_faults();
  EXPECT_EQ(touch(kBytes / 2), 'x');
  EXPECT_EQ(major_faults(), before + 1);
  EXPECT_EQ(resident(), 1u);
}

TEST_F(PagingTest, WhatWasAskedForIsNotWaitedForAgain) {
  read_ahead(at(5), kBytes - 5);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (resident() * size_t(::sysconf(_SC_PAGESIZE)) < kBytes && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
  const uint64_t before = major_faults();
  for (size_t offset = 0; offset < kBytes; offset += 4096) EXPECT_EQ(touch(offset), 'x');
  EXPECT_EQ(major_faults(), before);
}

TEST_F(PagingTest, AThreadThatWaitedAsksAheadForAWhile) {
  while (pages_lately()) {
  }
  EXPECT_EQ(touch(0), 'x');
  EXPECT_TRUE(pages_lately());
  int calls = 1;
  while (pages_lately()) ++calls;
  EXPECT_EQ(calls, 64);
  EXPECT_FALSE(pages_lately());
}

}  // namespace
}  // namespace quarry::mvs
