#include "mvs/warm/delta_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <arrow/buffer.h>

#include "base/clock.h"
#include "mvs/test_hooked_store.h"
#include "mvs/warm/checkpoint.h"
#include "mvs/warm/table_schema.h"
#include "objects/counting_store.h"

namespace quarry::mvs {
namespace {

AddFile add(std::string path, int64_t size = 10) {
  AddFile f;
  f.path = std::move(path);
  f.size = size;
  f.modified_ms = 5;
  f.stats = R"({"numRecords":3})";
  return f;
}

RemoveFile remove(const AddFile& f) { return {f.path, 7, true, f.size, f.deletion_vector}; }

std::string commit_text(std::vector<Action> actions, const std::string& unique) {
  actions.insert(actions.begin(), CommitInfo{{{"txnId", unique}}});
  return encode_commit(actions);
}

Metadata metadata() { return {"0b0c", R"({"type":"struct","fields":[]})", {}, {{"k", "v"}}, 1}; }

TEST(DeltaActions, SurviveTheirJson) {
  AddFile file = add("a b/ä%.parquet");
  file.deletion_vector = DeletionVectorRef{"u", "ab^-aqEH.-t@S}K{vb[*k^", 4, 40, 6};
  file.tags = {{"x", "y"}};
  const std::vector<Action> actions{Protocol{}, metadata(), SetTransaction{"app", 9, 8}, remove(file), file};
  const std::string text = encode_commit(actions);
  EXPECT_NE(text.find(R"("path":"a%20b/%C3%A4%25.parquet")"), std::string::npos);
  const auto back = decode_commit(text, "f");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(encode_commit(*back), text);
  EXPECT_EQ(std::get<AddFile>(back->back()).deletion_vector, file.deletion_vector);
}

TEST(DeltaActions, ReadsAnExampleOfTheProtocol) {
  // The example of a deletion vector on storage in the protocol's text.
  const auto back = decode_commit(
      "{\"commitInfo\":{\"x\":1}}\n\n{\"add\":{\"path\":\"p\",\"partitionValues\":{},\"size\":1,\"modificationTime\":2,\"dataChange\":true,"
      "\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"ab^-aqEH.-t@S}K{vb[*k^\",\"offset\":4,\"sizeInBytes\":40,"
      "\"cardinality\":6}}}\r\n"
      "{\"cdc\":{\"path\":\"z\"}}\n{\"domainMetadata\":{\"domain\":\"d\"}}",
      "f");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->size(), 2u);
}

TEST(DeltaActions, NamesTheLineThatIsBad) {
  EXPECT_EQ(decode_commit("\n", "f").error().kind, ErrorKind::kCorruption) << "an entry says something";
  for (const char* text : {"{}\nnot json", "{}\n{\"add\":{\"size\":1}}", "{}\n[]", "{}\n{\"add\":{\"path\":7,\"size\":1}}"}) {
    const auto back = decode_commit(text, "some/file.json");
    ASSERT_FALSE(back.ok()) << text;
    EXPECT_EQ(back.error().kind, ErrorKind::kCorruption);
    EXPECT_NE(back.error().message.find("some/file.json: line 2"), std::string::npos);
  }
}

TEST(DeltaActions, NoFileLiesOutsideTheTable) {
  for (const char* path : {"../other/p.parquet", "/etc/p.parquet", "a/%2E%2E/%2e%2e/p.parquet", "a//p.parquet", ""}) {
    const auto back = decode_commit(fmt::format(R"({{"add":{{"path":"{}","size":1}}}})", path), "f");
    ASSERT_FALSE(back.ok()) << path;
    EXPECT_EQ(back.error().kind, ErrorKind::kCorruption);
  }
  EXPECT_TRUE(decode_commit(R"({"add":{"path":"day=2026-11-26/part-0.parquet","size":1}})", "f").ok());
}

TEST(DeltaActions, NoFlippedBitOfASealedEntryIsReadAsAnother) {
  AddFile file = add("p.parquet");
  file.deletion_vector = DeletionVectorRef{"u", "ab^-aqEH.-t@S}K{vb[*k^", 4, 40, 6};
  const std::vector<Action> actions{Protocol{}, metadata(), file};
  std::vector<Action> sealed = actions;
  sealed.insert(sealed.begin(), sealed_info({{"operation", "WRITE"}}));
  const std::string text = encode_commit(sealed);
  ASSERT_TRUE(decode_commit(text, "f").ok());
  size_t refused = 0;
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = char(flipped[bit / 8] ^ (1 << (bit % 8)));
    auto back = decode_commit(flipped, "f");
    refused += !back.ok();
    // The name of the seal is not under it: without it the entry is read as one of another program.
    if (!back.ok()) continue;
    std::erase_if(*back, [](const Action& a) { return std::holds_alternative<CommitInfo>(a); });
    EXPECT_EQ(encode_commit(*back), encode_commit(actions)) << "bit " << bit;
  }
  EXPECT_GT(refused, (text.size() - 20) * 8);
}

TEST(DeltaActions, RefusesFeaturesItDoesNotKnow) {
  EXPECT_TRUE(check_protocol({}).ok());
  EXPECT_FALSE(check_protocol({3, 7, {"deletionVectors", "columnMapping"}, {"deletionVectors"}}).ok());
  EXPECT_FALSE(check_protocol({3, 7, {"deletionVectors"}, {"deletionVectors", "identityColumns"}}).ok());
  EXPECT_FALSE(check_protocol({4, 7, {}, {}}).ok());
  EXPECT_TRUE(check_protocol({1, 2, {}, {}}).ok());
}

TEST(TableSchema, ReadsADimensionAsTextAndAsNumber) {
  const TableSpec spec{"t",
                       "p",
                       {{"v", "u", 7, Metric::kDot}},
                       {{"Größe", FieldType::kInteger}, {"GRÖSSE", FieldType::kInteger}, {"a.b", FieldType::kString}}};
  const std::string written = TableSchema::from_spec(spec)->delta_schema();
  const std::string as_text = R"("quarry.dimension":"7")", as_number = R"("quarry.dimension":7)";
  const size_t at = written.find(as_number);
  ASSERT_NE(at, std::string::npos);
  std::string text = written;
  text.replace(at, as_number.size(), as_text);
  for (const auto& schema : {written, text}) {
    const auto back = TableSchema::from_delta(schema);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->columns()[size_t(back->find_vector("v"))].vector.dimension, 7u);
    EXPECT_EQ(back->delta_schema(), written);
    EXPECT_GE(back->find_field("Größe"), 0);
    EXPECT_LT(back->find_field("GRÖSSE"), 0);  // the same name to an engine that ignores case
    EXPECT_LT(back->find_field("a.b"), 0);
  }
  for (const char* bad : {"0", "\"\"", "\"7x\"", "\"-1\"", "65537", "null"}) {
    std::string damaged = written;
    damaged.replace(at, as_number.size(), std::string(R"("quarry.dimension":)") + bad);
    EXPECT_FALSE(TableSchema::from_delta(damaged).ok()) << bad;
  }
}

// What Spark, delta-rs and DuckDB read of these columns.
TEST(TableSchema, DescribesSparseAndMultiVectors) {
  const TableSpec spec{"t", "p", {{"w", "u", 0, Metric::kDot, VectorKind::kSparse}, {"m", "", 3, Metric::kCosine, VectorKind::kMulti}}, {}};
  const std::string written = TableSchema::from_spec(spec)->delta_schema();
  const std::string floats = R"({"type":"array","elementType":"float","containsNull":false})";
  for (
      const std::string& part :
      {R"("name":"vector_w","type":{"type":"struct","fields":[{"name":"indices","type":{"type":"array","elementType":"long","containsNull":false},"nullable":true,"metadata":{}},{"name":"values","type":)" +
           floats + R"(,"nullable":true,"metadata":{}}]})",
       R"("name":"vector_m","type":{"type":"array","elementType":)" + floats + R"(,"containsNull":false})",
       std::string(R"("quarry.kind":"sparse")"), std::string(R"("quarry.kind":"multi_dense")")})
    EXPECT_NE(written.find(part), std::string::npos) << part << "\n" << written;
  const auto back = TableSchema::from_delta(written);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->delta_schema(), written);
  EXPECT_EQ(back->columns()[size_t(back->find_vector("w"))].kind, ColumnKind::kSparse);
  EXPECT_EQ(back->columns()[size_t(back->find_vector("m"))].kind, ColumnKind::kMulti);
  std::string newer = written;
  newer.replace(newer.find("multi_dense"), 11, "multi_byte!");
  const auto refused = TableSchema::from_delta(newer);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("'vector_m' has a quarry.kind that this program does not know: multi_byte!"), std::string::npos);
}

class DeltaLogTest : public ::testing::Test {
 protected:
  void commit(int64_t version, std::vector<Action> actions) {
    const auto put = log_.put(version, commit_text(std::move(actions), std::to_string(version)));
    ASSERT_TRUE(put.ok());
    ASSERT_EQ(*put, PutOutcome::kCommitted);
  }

  // Version 2, of whose entries nothing but its checkpoint tells.
  LogState checkpointed() {
    commit(0, {Protocol{}, metadata()});
    commit(1, {add("a"), add("b")});
    commit(2, {remove(add("a"))});
    LogState out = *log_.load();
    EXPECT_TRUE(log_.write_checkpoint(out).ok());
    EXPECT_TRUE(log_.clean(INT64_MAX).ok());
    return out;
  }

  // The same version in other bytes than those the hint speaks of.
  static LogState without_tombstones(LogState state) {
    state.tombstones.clear();
    return state;
  }

  std::unique_ptr<objects::ObjectStore> store_ = objects::make_memory_store();
  DeltaLog log_{*store_, "t"};
};

TEST_F(DeltaLogTest, ReplaysAndCheckpoints) {
  EXPECT_EQ(log_.load().error().kind, ErrorKind::kNotFound);
  commit(0, {Protocol{}, metadata()});
  commit(1, {add("a"), add("b"), SetTransaction{"app", 1, 2}});
  AddFile deleted = add("a");
  deleted.deletion_vector = DeletionVectorRef{"u", "ab^-aqEH.-t@S}K{vb[*k^", 1, 40, 2};
  commit(2, {deleted, remove(add("a")), remove(add("b")), add("c")});
  auto state = log_.load();
  ASSERT_TRUE(state.ok());
  ASSERT_TRUE(log_.write_checkpoint(*state).ok());
  EXPECT_EQ(*log_.last_checkpoint(), 2);
  commit(3, {add("d")});
  state = log_.load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->version, 3);
  ASSERT_EQ(state->files.size(), 3u);
  EXPECT_EQ(state->files.at("a")->deletion_vector, deleted.deletion_vector);
  EXPECT_EQ(state->files.at("c")->stats, R"({"numRecords":3})");
  EXPECT_EQ(state->tombstones.size(), 2u);
  EXPECT_EQ(state->transactions.at("app").version, 1);
  EXPECT_EQ(state->metadata.configuration.at("k"), "v");
  EXPECT_EQ(state->protocol.reader_features, (std::vector<std::string>{"deletionVectors"}));
}

TEST_F(DeltaLogTest, NoFlippedByteOfACheckpointIsReadAsAnother) {
  commit(0, {Protocol{}, metadata()});
  AddFile deleted = add("a");
  deleted.deletion_vector = DeletionVectorRef{"u", "ab^-aqEH.-t@S}K{vb[*k^", 1, 40, 2};
  commit(1, {deleted, add("b")});
  ASSERT_TRUE(log_.write_checkpoint(*log_.load()).ok());
  ASSERT_TRUE(store_->remove(log_.commit_key(0)).ok());
  ASSERT_TRUE(store_->remove(log_.commit_key(1)).ok());
  const std::string wanted = encode_commit(log_.load()->to_actions());
  const std::string checkpoint = store_->get(log_.checkpoint_key(1)).value(), hint = store_->get("t/_delta_log/_last_checkpoint").value();
  for (size_t at = 0; at < checkpoint.size(); at += 7) {
    std::string flipped = checkpoint;
    flipped[at] = char(flipped[at] ^ (1 << (at % 8)));
    ASSERT_TRUE(store_->put(log_.checkpoint_key(1), flipped).ok());
    EXPECT_FALSE(log_.load().ok()) << "byte " << at;
    EXPECT_FALSE(log_.matches_hint(log_.checkpoint_key(1), flipped).value());
  }
  ASSERT_TRUE(store_->put(log_.checkpoint_key(1), checkpoint).ok());
  for (size_t at = 0; at < hint.size(); ++at) {  // a damaged hint never speaks against the checkpoint
    std::string flipped = hint;
    flipped[at] = char(flipped[at] ^ (1 << (at % 8)));
    ASSERT_TRUE(store_->put("t/_delta_log/_last_checkpoint", flipped).ok());
    const auto state = log_.load();
    ASSERT_TRUE(state.ok()) << flipped << ": " << state.error().message;
    EXPECT_EQ(encode_commit(state->to_actions()), wanted) << flipped;
  }
}

TEST_F(DeltaLogTest, CleansWhatACheckpointCovers) {
  commit(0, {Protocol{}, metadata()});
  for (int v = 1; v < 5; ++v) commit(v, {add(std::to_string(v))});
  ASSERT_TRUE(log_.write_checkpoint(*log_.load()).ok());
  commit(5, {add("5")});
  ASSERT_TRUE(log_.clean(INT64_MAX).ok());
  EXPECT_EQ(log_.read(3).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(log_.read(4).ok());
  const auto state = log_.load();
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->version, 5);
  EXPECT_EQ(state->files.size(), 5u);
}

// Between a checkpoint's bytes and the checksum in the hint a server may die: an entry that is cleaned away leaves nothing else to read.
TEST_F(DeltaLogTest, ACheckpointIsNotWrittenOverAnotherServers) {
  const LogState ours = checkpointed();
  test::HookedStore dying(*store_);
  dying.set_hook([](std::string_view operation, std::string_view key) -> Status {
    return operation == "put" && key == "t/_delta_log/_last_checkpoint" ? storage_error("dead") : Status(Ok{});
  });
  (void)DeltaLog(dying, "t").write_checkpoint(without_tombstones(ours));
  const auto state = log_.load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->files.size(), 1u);
  EXPECT_TRUE(log_.write_checkpoint(ours).ok()) << "one's own is there already";
}

// Nothing but the checkpoint tells of what was cleaned away.
TEST_F(DeltaLogTest, ACheckpointThatCannotBeReadIsNotOverwritten) {
  const LogState theirs = without_tombstones(checkpointed());
  const std::string written = store_->get(log_.checkpoint_key(2)).value();
  for (const int failing : {1, 2}) {
    test::HookedStore hooked(*store_);
    int reads = 0;
    hooked.set_hook([&](std::string_view operation, std::string_view key) -> Status {
      const bool fails = operation == "get" && key == log_.checkpoint_key(2) && ++reads == failing;
      return fails ? storage_error("a moment without network") : Status(Ok{});
    });
    (void)DeltaLog(hooked, "t").write_checkpoint(theirs);
    EXPECT_TRUE(store_->get(log_.checkpoint_key(2)).value() == written) << "read " << failing;
  }
}

// A server that was slow: entries between its checkpoint and the newest are gone, and only the hint tells followers so.
TEST_F(DeltaLogTest, TheHintDoesNotGoBack) {
  commit(0, {Protocol{}, metadata()});
  commit(1, {add("a")});
  const LogState slow = *log_.load();
  commit(2, {add("b")});
  ASSERT_TRUE(log_.write_checkpoint(*log_.load()).ok());
  ASSERT_TRUE(log_.write_checkpoint(slow).ok());
  EXPECT_EQ(*log_.last_checkpoint(), 2);
  ASSERT_TRUE(store_->put("t/_delta_log/_last_checkpoint", R"({"version":7,"size":3,"quarryCrc32c":"01234567-89abcdef"})").ok());
  ASSERT_TRUE(log_.write_checkpoint(slow).ok()) << "a damaged hint keeps nobody from his";
  EXPECT_EQ(*log_.last_checkpoint(), 1);
}

// A checkpoint is written in place of a damaged one, and the server dies at once.
TEST_F(DeltaLogTest, WhatReplacesADamagedCheckpointCanBeRead) {
  const LogState state = without_tombstones(checkpointed());
  ASSERT_TRUE(store_->put(log_.checkpoint_key(2), "PAR1 torn").ok());
  test::HookedStore dying(*store_);
  bool is_replaced = false;
  dying.set_hook([&](std::string_view operation, std::string_view key) -> Status {
    if (is_replaced) return storage_error("dead");
    is_replaced = operation == "put" && key == log_.checkpoint_key(2);
    return Ok{};
  });
  EXPECT_FALSE(DeltaLog(dying, "t").write_checkpoint(state).ok());
  const auto loaded = log_.load();
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->files.size(), 1u);
}

// Cleans the log once, right after it was listed for the first time.
class CleanedUnderTheReader : public objects::CountingStore {
 public:
  CleanedUnderTheReader(objects::ObjectStore& inner, std::function<void()> clean) : CountingStore(inner), clean_(std::move(clean)) {}
  Result<std::vector<objects::ObjectInfo>> list(std::string_view prefix, std::string_view after, size_t limit) override {
    auto out = CountingStore::list(prefix, after, limit);
    if (auto clean = std::exchange(clean_, nullptr)) clean();
    return out;
  }

 private:
  std::function<void()> clean_;
};

TEST_F(DeltaLogTest, TheFirstCheckpointAndItsCleaningDoNotDisturbAReader) {
  commit(0, {Protocol{}, metadata()});
  for (int v = 1; v < 5; ++v) commit(v, {add(std::to_string(v))});
  CleanedUnderTheReader store(*store_, [&] {
    EXPECT_TRUE(log_.write_checkpoint(*log_.load()).ok());
    EXPECT_TRUE(log_.clean(INT64_MAX).ok());
  });
  const auto state = DeltaLog(store, "t").load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->files.size(), 4u);
}

// A fault at the checkpoint, and at the second try a newer one has come in its place.
TEST_F(DeltaLogTest, ANewerCheckpointThatComesAfterAFaultIsRead) {
  commit(0, {Protocol{}, metadata()});
  commit(1, {add("a")});
  ASSERT_TRUE(log_.write_checkpoint(*log_.load()).ok());
  test::HookedStore hooked(*store_);
  int reads = 0;
  hooked.set_hook([&](std::string_view operation, std::string_view key) -> Status {
    if (operation != "get" || key != log_.checkpoint_key(1)) return Ok{};
    if (++reads == 1) return storage_error("a moment without network");
    hooked.set_hook(nullptr);
    commit(2, {add("b")});
    EXPECT_TRUE(log_.write_checkpoint(*log_.load()).ok());
    return log_.clean(INT64_MAX);
  });
  const auto state = DeltaLog(hooked, "t").load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->files.size(), 2u);
  EXPECT_EQ(reads, 2);
}

TEST_F(DeltaLogTest, ATornCheckpointIsWrittenAgain) {
  commit(0, {Protocol{}, metadata()});
  commit(1, {add("a")});
  ASSERT_TRUE(log_.write_checkpoint(*log_.load()).ok());
  const std::string whole = store_->get(log_.checkpoint_key(1)).value();
  for (const std::string& torn : {std::string("PAR1 torn"), whole.substr(0, whole.size() / 2)}) {
    ASSERT_TRUE(store_->put(log_.checkpoint_key(1), torn).ok());
    ASSERT_TRUE(log_.write_checkpoint(*log_.load()).ok());
    const auto state = log_.load();
    ASSERT_TRUE(state.ok()) << state.error().message;
    EXPECT_EQ(state->checkpoint, 1) << "the log from its beginning was read";
  }
}

TEST_F(DeltaLogTest, FallsBackWhenTheCheckpointIsTorn) {
  commit(0, {Protocol{}, metadata()});
  commit(1, {add("a")});
  ASSERT_TRUE(log_.write_checkpoint(*log_.load()).ok());
  commit(2, {add("b")});
  ASSERT_TRUE(store_->put(log_.checkpoint_key(1), "PAR1 torn").ok());
  const auto state = log_.load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->files.size(), 2u);
  ASSERT_TRUE(store_->remove(log_.commit_key(0)).ok());  // now nothing else can tell
  const auto lost = log_.load();
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(lost.error().message.find("00000000000000000001.checkpoint.parquet"), std::string::npos);
}

TEST_F(DeltaLogTest, AMultiPartCheckpointCountsWhenAllPartsAreThere) {
  commit(0, {Protocol{}, metadata()});
  commit(1, {add("a")});
  commit(2, {add("b")});
  const auto put_part = [&](int part, const std::vector<Action>& actions) {
    const auto bytes = encode_checkpoint(actions);
    ASSERT_TRUE(bytes.ok());
    const std::string_view view(reinterpret_cast<const char*>((*bytes)->data()), size_t((*bytes)->size()));
    ASSERT_TRUE(store_->put(fmt::format("t/_delta_log/{:020}.checkpoint.{:010}.{:010}.parquet", 2, part, 2), view).ok());
  };
  put_part(1, {Protocol{}, metadata(), add("a")});
  EXPECT_EQ(log_.load()->files.size(), 2u);  // the writer died before part 2
  put_part(2, {add("b")});
  ASSERT_TRUE(store_->remove(log_.commit_key(0)).ok());
  const auto state = log_.load();
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->files.size(), 2u);
  EXPECT_EQ(state->version, 2);
}

TEST_F(DeltaLogTest, EntriesReadBesideEachOtherAreTheSameLog) {
  constexpr int64_t kTripUs = 30'000, kCommits = 30;
  commit(0, {Protocol{}, metadata()});
  for (int64_t v = 1; v < kCommits; ++v) commit(v, {add(fmt::format("f{}", v))});
  const auto far = objects::make_faulty_store(*store_, {.latency_us = kTripUs});
  const DeltaLog log(*far, "t");
  Executor io("io", 64, 1024);
  for (const int64_t checkpoint : {int64_t{-1}, int64_t{5}}) {
    if (checkpoint >= 0) {
      LogState at_five;
      for (int64_t v = 0; v <= checkpoint; ++v) at_five.apply(log_.read(v).value(), v);
      ASSERT_TRUE(log_.write_checkpoint(at_five).ok());
    }
    const int64_t began_us = system_clock().steady_us();
    const auto state = log.load(&io);
    EXPECT_LT(system_clock().steady_us() - began_us, kCommits * kTripUs / 2);
    ASSERT_TRUE(state.ok()) << state.error().message;
    EXPECT_EQ(state->version, kCommits - 1);
    EXPECT_EQ(state->checkpoint, checkpoint);
    const auto bytes = encode_checkpoint(state->to_actions()), wanted = encode_checkpoint(log_.load()->to_actions());
    EXPECT_TRUE((*bytes)->Equals(**wanted));
  }
  EXPECT_TRUE(*log.is_newest(kCommits - 1, &io));
  EXPECT_FALSE(*log.is_newest(kCommits - 2, &io));
  EXPECT_FALSE(*log.is_newest(3, &io));
  ASSERT_TRUE(store_->remove(log_.commit_key(7)).ok());
  EXPECT_NE(log.load(&io).error().message.find("00000000000000000007.json is missing"), std::string::npos);
}

TEST_F(DeltaLogTest, NamesAGap) {
  commit(0, {Protocol{}, metadata()});
  commit(2, {add("a")});
  const auto state = log_.load();
  ASSERT_FALSE(state.ok());
  EXPECT_NE(state.error().message.find("00000000000000000001.json is missing"), std::string::npos);
}

TEST_F(DeltaLogTest, OneOfTwoCommitsWins) {
  commit(0, {Protocol{}, metadata()});
  EXPECT_EQ(*log_.put(1, commit_text({add("a")}, "first")), PutOutcome::kCommitted);
  EXPECT_EQ(*log_.put(1, commit_text({add("b")}, "second")), PutOutcome::kLost);
  EXPECT_EQ(*log_.put(1, commit_text({add("a")}, "first")), PutOutcome::kCommitted);  // its own, seen again after an unclear failure
}

TEST(Checkpoint, RoundTrips) {
  AddFile file = add("p");
  file.data_change = false;
  file.tags = {{"a", "b"}};
  file.deletion_vector = DeletionVectorRef{"u", "ab^-aqEH.-t@S}K{vb[*k^", std::nullopt, 40, 6};
  RemoveFile gone{"q", 3, false, 9, file.deletion_vector};
  const std::vector<Action> actions{Protocol{}, metadata(), SetTransaction{"a", 1, 2}, gone, file};
  const auto bytes = encode_checkpoint(actions);
  ASSERT_TRUE(bytes.ok());
  const auto back = decode_checkpoint(*bytes, "k");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(encode_commit(*back), encode_commit(actions));
}

}  // namespace
}  // namespace quarry::mvs
