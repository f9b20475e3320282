// The power goes at a random write, again and again, until the batch is done: nothing may be lost or doubled.
#include "pipeline/object_body.h"
#include "pipeline/test_world.h"

namespace quarry::pipeline {
namespace {

// After `writes` more writes everything fails. The last write is done or not, and reported as failed either way.
class Power {
 public:
  void arm(int64_t writes, bool last_is_done) {
    last_is_done_ = last_is_done;
    left_ = writes;
  }
  bool is_off() const { return left_ <= 0; }
  template <typename Body>
  auto run(Body&& body) -> decltype(body()) {
    int64_t left = left_.fetch_sub(1);
    if (left > 1) return body();
    if (left == 1 && last_is_done_) {
      auto done = body();
      if (!done.ok()) return done;
    }
    return storage_error("the power is off");
  }

 private:
  std::atomic<int64_t> left_{INT64_MAX};
  std::atomic<bool> last_is_done_{false};
};

class FragileCatalog final : public catalog::Catalog {
 public:
  FragileCatalog(catalog::Catalog& inner, Power& power) : inner_(inner), power_(power) {}
  Status write(const std::function<Status(catalog::Session&)>& body) override {
    return power_.run([&] { return inner_.write(body); });
  }
  Status read(const std::function<Status(catalog::Session&)>& body) override {
    return power_.is_off() ? Status(storage_error("the power is off")) : inner_.read(body);
  }
  std::string describe() const override { return inner_.describe(); }

 private:
  catalog::Catalog& inner_;
  Power& power_;
};

class FragileVectors final : public mvs::VectorStore {
 public:
  FragileVectors(mvs::VectorStore& inner, Power& power) : inner_(inner), power_(power) {}
  Status create_table(const mvs::TableSpec& spec) override {
    return power_.run([&] { return inner_.create_table(spec); });
  }
  Status attach_table(const mvs::TableSpec& spec) override { return inner_.attach_table(spec); }
  Status extend_table(const mvs::TableSpec& spec) override { return inner_.extend_table(spec); }
  Status drop_table(std::string_view id) override {
    return power_.run([&] { return inner_.drop_table(id); });
  }
  Result<mvs::WriteResult> write(std::string_view id, mvs::WriteBatch batch) override {
    return power_.run([&] { return inner_.write(id, batch); });
  }
  Result<uint64_t> delete_where(std::string_view id, const Filter& filter) override {
    return power_.run([&] { return inner_.delete_where(id, filter); });
  }
  Result<std::vector<Document>> get(std::string_view id, const std::vector<std::string>& ids, const mvs::Projection& p) override {
    return inner_.get(id, ids, p);
  }
  Result<mvs::ScanResult> scan(const mvs::ScanRequest& r) override { return inner_.scan(r); }
  Result<uint64_t> count(std::string_view id, const Filter& f) override { return inner_.count(id, f); }
  Result<mvs::SearchResult> search(const mvs::SearchRequest& r) override { return inner_.search(r); }
  Status for_each(std::string_view id, const Filter& f, const mvs::Projection& p, const std::function<bool(const Document&)>& v) override {
    return inner_.for_each(id, f, p, v);
  }
  Result<std::vector<mvs::FacetValue>> facet(std::string_view id, const Filter& f, const std::string& field, size_t n) override {
    return inner_.facet(id, f, field, n);
  }
  Result<mvs::TableStats> stats(std::string_view id) override { return inner_.stats(id); }
  Status set_tier(std::string_view id, mvs::Tier tier) override {
    return power_.run([&] { return inner_.set_tier(id, tier); });
  }
  std::vector<mvs::TableUsage> usage() override { return inner_.usage(); }
  Status maintain(std::string_view id) override { return inner_.maintain(id); }

 private:
  mvs::VectorStore& inner_;
  Power& power_;
};

class CrashTest : public World {
 protected:
  // Runs an engine until the power goes or the batch has ended; true when it has ended.
  bool run_until_crash(Power& power, const std::string& batch_id) {
    run_engine(power, [&] { return is_terminal(batch_status(batch(batch_id))); });
    return !power.is_off();
  }

  void run_engine(Power& power, const std::function<bool()>& is_over) {
    FragileCatalog catalog(*catalog_, power);
    FragileVectors vectors(vectors_, power);
    Options with = options();
    with.catalog = &catalog;
    with.vectors = &vectors;
    with.commit_documents = 6;
    with.storage_attempts = 2;
    with.retry_delay_us = 100;
    with.max_attempts = 1'000'000;
    auto engine = Engine::make(with);
    (void)engine->start();  // may itself meet the end of the power
    EXPECT_TRUE(eventually([&] { return power.is_off() || is_over(); }));
  }

  // Returns how many lives it took.
  int run_to_the_end(Rng& rng, const std::string& batch_id) {
    Power power;
    int lives = 0;
    for (bool ended = false; !ended && lives < 500; ++lives) {
      // A life must be able to reach a commit: claims alone take a few writes.
      power.arm(3 + static_cast<int64_t>(rng.below(14)), rng.below(2) == 1);
      ended = run_until_crash(power, batch_id);
    }
    EXPECT_EQ(batch_status(batch(batch_id)), TaskStatus::kCompleted) << json::serialize(batch(batch_id));
    return lives;
  }
};

TEST_F(CrashTest, AnyNumberOfCrashesLosesAndDoublesNothing) {
  add_bucket_collection("col_a");
  add_bucket_collection("col_b");
  add_derived_collection("col_c", {"col_a"});
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    for (const char* table : {"col_a", "col_b", "col_c"}) (void)vectors_.drop_table(table);
    Rng rng(seed);
    auto ids = add_objects(25, 2);
    std::string id = submit(ids);
    EXPECT_GT(run_to_the_end(rng, id), 2);
    expect_lines("col_a", ids, 2);
    expect_lines("col_b", ids, 2);
    EXPECT_EQ(vectors_.documents("col_c").size(), 50u);
    EXPECT_EQ(integer_member(batch(id), "documents_written"), 150);
  }
}

TEST_F(CrashTest, AnyNumberOfCrashesLeavesALifecycleInOneStateOrTheOther) {
  const struct {
    LifecycleState to;
    size_t events;
  } steps[] = {{LifecycleState::kCold, 1}, {LifecycleState::kActive, 2}, {LifecycleState::kArchived, 3}};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const std::string id = "col_" + std::to_string(seed);
    add_bucket_collection(id);
    ASSERT_TRUE(vectors_.create_table({.table_id = id}).ok());
    for (const auto& step : steps) {
      std::string task_id;
      ASSERT_TRUE(catalog_
                      ->write([&](catalog::Session& session) -> Status {
                        QUARRY_ASSIGN_OR_RETURN(task_id, begin_lifecycle_change(session, scope_, "internal", {id, step.to}, 1));
                        return Ok{};
                      })
                      .ok());
      Power power;
      auto over = [&] { return is_terminal(task_of(task_id).status); };
      for (int lives = 0; lives < 200 && !over(); ++lives) {
        power.arm(3 + static_cast<int64_t>(rng.below(14)), rng.below(2) == 1);
        run_engine(power, over);
      }
      EXPECT_EQ(task_of(task_id).status, TaskStatus::kCompleted) << task_of(task_id).error;
      const auto stored = catalog_->get(catalog::kind::kCollection, scope_, id).value();
      EXPECT_EQ(text_member(stored.body, "lifecycle_state"), to_string(step.to));
      EXPECT_FALSE(stored.body.at(kInternalMember).at("storage").as_object().contains("transition"));
      catalog::ListQuery events{.kind = std::string(catalog::kind::kLifecycleEvent), .scope = scope_, .parent_id = id};
      EXPECT_EQ(catalog_->list(events)->items.size(), step.events);
    }
    EXPECT_EQ(vectors_.attach_table({.table_id = id}).error().kind, ErrorKind::kNotFound);
  }
}

TEST_F(CrashTest, ObjectsThatLoseDocumentsLeaveNoOrphans) {
  add_bucket_collection("col_a");
  add_derived_collection("col_b", {"col_a"});
  add_derived_collection("col_c", {"col_b"});
  for (uint64_t seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    for (const char* table : {"col_a", "col_b", "col_c"}) (void)vectors_.drop_table(table);
    Rng rng(seed);
    auto ids = add_objects(12, 3);
    run_to_the_end(rng, submit(ids));
    EXPECT_EQ(vectors_.documents("col_c").size(), 36u);
    for (const std::string& id : ids) change_text(id, "only");
    run_to_the_end(rng, submit(ids));
    expect_lines("col_a", ids, 1);
    EXPECT_EQ(vectors_.documents("col_b").size(), ids.size());
    EXPECT_EQ(vectors_.documents("col_c").size(), ids.size());
  }
}

}  // namespace
}  // namespace quarry::pipeline
