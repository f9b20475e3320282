#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

#include "base/temporary_folder.h"

namespace quarry {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  size_t entries() const { return static_cast<size_t>(std::distance(fs::directory_iterator(dir_), fs::directory_iterator())); }

  const TemporaryFolder made_{"quarry-file"};
  const fs::path& dir_ = made_.path();
};

template <typename T>
ErrorKind kind_of(const Result<T>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? ErrorKind::kInternal : result.error().kind;
}

TEST_F(FileTest, WritesAndReads) {
  std::string binary("\0\xff\n", 3);
  ASSERT_TRUE(write_file_atomic(dir_ / "f", binary, 0600).ok());
  EXPECT_EQ(*read_file(dir_ / "f"), binary);
  struct stat info {};
  ASSERT_EQ(stat((dir_ / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_TRUE(write_file_atomic(dir_ / "f", "new").ok());
  EXPECT_EQ(*read_file(dir_ / "f"), "new");
  EXPECT_EQ(entries(), 1u);  // no temporary file is left
}

TEST_F(FileTest, ReadsRanges) {
  ASSERT_TRUE(write_file_atomic(dir_ / "f", "0123456789").ok());
  EXPECT_EQ(*read_file_range(dir_ / "f", 2, 3), "234");
  EXPECT_EQ(*read_file_range(dir_ / "f", 8, UINT64_MAX), "89");
  EXPECT_EQ(*read_file_range(dir_ / "f", 10, 1), "");
  EXPECT_EQ(*read_file_range(dir_ / "f", UINT64_MAX, 1), "");
}

TEST_F(FileTest, NamesWhatItCannotRead) {
  auto absent = read_file(dir_ / "absent");
  EXPECT_EQ(kind_of(absent), ErrorKind::kNotFound);
  EXPECT_NE(absent.error().message.find((dir_ / "absent").string()), std::string::npos);
  EXPECT_EQ(kind_of(read_file(dir_)), ErrorKind::kBadRequest);
  ASSERT_TRUE(write_file_atomic(dir_ / "f", "x").ok());
  EXPECT_EQ(kind_of(read_file(dir_ / "f" / "below")), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of(write_file_atomic(dir_ / "no" / "f", "x")), ErrorKind::kNotFound);
}

TEST_F(FileTest, ReadersSeeOldOrNewNeverAMix) {
  std::string a(300'000, 'a'), b(100'000, 'b');
  ASSERT_TRUE(write_file_atomic(dir_ / "f", a).ok());
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(write_file_atomic(dir_ / "f", i % 2 == 0 ? b : a).ok());
    done = true;
  });
  bool torn = false;
  do {
    auto read = read_file(dir_ / "f");
    torn = torn || !read.ok() || (*read != a && *read != b);
  } while (!done);
  writer.join();
  EXPECT_FALSE(torn);
}

TEST_F(FileTest, AFailedWriteLeavesTheOldContent) {
  ASSERT_TRUE(write_file_atomic(dir_ / "f", "old").ok());
  fs::create_directory(dir_ / "folder");
  EXPECT_FALSE(write_file_atomic(dir_ / "folder", "x").ok());  // rename over a folder fails
  EXPECT_EQ(entries(), 2u);
  EXPECT_EQ(*read_file(dir_ / "f"), "old");
}

TEST_F(FileTest, WriteIfAbsentHasOneWinner) {
  constexpr int kThreads = 8;
  for (int round = 0; round < 10; ++round) {
    fs::path path = dir_ / std::to_string(round);
    std::atomic<int> won{0}, lost{0};
    std::barrier start(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        start.arrive_and_wait();
        Status status = write_file_if_absent(path, std::to_string(t));
        if (status.ok()) ++won;
        if (!status.ok() && status.error().kind == ErrorKind::kAlreadyExists) ++lost;
      });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, kThreads - 1);
  }
  EXPECT_EQ(entries(), 10u);
}

TEST_F(FileTest, TemporaryFilesGoWhereTheyAreTold) {
  fs::create_directory(dir_ / "tmp");
  ASSERT_TRUE(write_file_atomic(dir_ / "f", "x", 0644, dir_ / "tmp").ok());
  ASSERT_TRUE(write_file_if_absent(dir_ / "g", "x", dir_ / "tmp").ok());
  EXPECT_TRUE(fs::is_empty(dir_ / "tmp"));
  EXPECT_EQ(kind_of(write_file_atomic(dir_ / "h", "x", 0644, dir_ / "absent")), ErrorKind::kNotFound);
}

TEST_F(FileTest, MakesFoldersAndTheirParents) {
  EXPECT_TRUE(make_directories(dir_ / "a" / "b" / "c").ok());
  EXPECT_TRUE(make_directories(dir_ / "a" / "b" / "c").ok());
  EXPECT_TRUE(fs::is_directory(dir_ / "a" / "b" / "c"));
  ASSERT_TRUE(write_file_atomic(dir_ / "f", "x").ok());
  EXPECT_FALSE(make_directories(dir_ / "f").ok());
  EXPECT_FALSE(make_directories(dir_ / "f" / "g").ok());
}

TEST_F(FileTest, RelativePathsWork) {
  fs::path before = fs::current_path();
  fs::current_path(dir_);
  EXPECT_TRUE(write_file_atomic("plain", "x").ok());
  EXPECT_TRUE(write_file_if_absent("plain2", "x").ok());
  EXPECT_TRUE(make_directories("d/e").ok());
  fs::current_path(before);
  EXPECT_EQ(*read_file(dir_ / "plain"), "x");
}

TEST_F(FileTest, ALockIsExclusiveUntilItsHolderGoes) {
  {
    auto lock = lock_file(dir_ / "LOCK");
    ASSERT_TRUE(lock.ok());
    EXPECT_EQ(kind_of(lock_file(dir_ / "LOCK")), ErrorKind::kConflict);
    pid_t child = fork();
    if (child == 0) _exit(lock_file(dir_ / "LOCK").ok() ? 1 : 0);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "another process took the lock";
  }
  EXPECT_TRUE(lock_file(dir_ / "LOCK").ok());
}

TEST_F(FileTest, FileDescriptorsCloseAndMove) {
  int raw = ::dup(0);
  {
    FileDescriptor a(raw);
    FileDescriptor b(std::move(a));
    EXPECT_FALSE(a);
    EXPECT_EQ(b.get(), raw);
    FileDescriptor c;
    c = std::move(b);
    EXPECT_EQ(c.get(), raw);
  }
  struct stat info {};
  EXPECT_NE(fstat(raw, &info), 0);
}

TEST(ErrnoError, TellsWhatIsFull) {
  Error full = errno_error("write", "/data/x", ENOSPC);
  EXPECT_EQ(full.kind, ErrorKind::kStorage);
  EXPECT_EQ(full.details.at("reason"), "disk_full");
  EXPECT_NE(full.message.find("/data/x"), std::string::npos);
  EXPECT_EQ(errno_error("open", "/data/x", ENOENT).kind, ErrorKind::kNotFound);
  EXPECT_EQ(errno_error("open", "/data/x", EACCES).kind, ErrorKind::kStorage);
  EXPECT_FALSE(errno_error("open", "/data/x", EACCES).details.contains("reason"));
}

}  // namespace
}  // namespace quarry
