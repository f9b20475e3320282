#include "service/simulation/world.h"

#include "model/collection.h"

namespace quarry::service::simulation {

void FaultyWorld::SetUp() {
  SnapshotWorld::SetUp();
  disk_ = objects::make_memory_store(clock_);
  for (const auto& object : store_->list("", "", 10'000).value()) ASSERT_TRUE(disk_->put(object.key, store_->get(object.key).value()).ok());
  power_.emplace(*disk_, rng_.next());
  options_ = draw_options();
  shut_down();
  boot(Weather::kGood);
}

void FaultyWorld::TearDown() {
  shut_down();
  SnapshotWorld::TearDown();
}

// Work begins when it is told of, so that requests come in an order of their own, not the clock's.
void FaultyWorld::adjust(pipeline::Options& options) {
  options.clock = &clock_;
  options.poll_interval_us = 600'000'000;
  options.tiering_interval_us = 2'000;
  options.storage_attempts = 3;
}

mvs::StoreOptions FaultyWorld::draw_options() {
  static const std::vector<uint64_t> kSidecarRows{1, 4096}, kIndexRows{3, 4096};
  static const std::vector<int64_t> kCheckpoints{2, 50}, kRetentions{0, 600'000'000};
  mvs::StoreOptions out{.clock = &clock_, .sidecar_min_rows = any_of(kSidecarRows), .commit_window_us = 0,
                        .checkpoint_interval = any_of(kCheckpoints), .index_min_rows = any_of(kIndexRows)};
  has_upkeep_ = one_in(4);
  if (!has_upkeep_) out.file_retention_us = out.log_retention_us = any_of(kRetentions);
  if (one_in(2)) out.local_folder = dir_ / "local";
  return out;
}

objects::FaultPlan FaultyWorld::draw_faults() {
  static const std::vector<double> kOften{0.0, 0.002, 0.01, 0.05}, kTorn{0.0, 0.01};
  objects::FaultPlan out{.seed = rng_.next()};
  if (one_in(2)) return out;
  out.fail_before = any_of(kOften);
  out.fail_after = any_of(kOften);
  out.tear = any_of(kTorn);
  return out;
}

void FaultyWorld::boot(Weather weather) {
  clock_.advance_us(1'000'000);
  booted_at_ = clock_.now_us();
  objects::FaultPlan faults = draw_faults();
  store_ = objects::make_faulty_store(*power_, weather == Weather::kGood ? objects::FaultPlan{} : faults);
  sqlite_ = catalog::open_sqlite_catalog(dir_ / "catalog.db", clock_, {.exclusive = true}).value();
  catalog_ = std::make_unique<PoweredCatalog>(*sqlite_, *power_);
  workers_ = std::make_unique<Executor>("simulation", 2, 256);
  deps_.background = deps_.executor = workers_.get();
  options_.store = store_.get();
  options_.executor = has_upkeep_ ? workers_.get() : nullptr;
  vectors_ = mvs::VectorStore::open(options_).value();
  make_engine();
  reopen_api();
  ASSERT_TRUE(engine_->start().ok());
}

void FaultyWorld::shut_down() {
  engine_.reset();
  api_.reset();
  if (vectors_) vectors_->close();
  if (workers_) workers_->stop();
  vectors_.reset();
  catalog_.reset();
  sqlite_.reset();
  store_.reset();
}

void FaultyWorld::restart(Weather weather) {
  note("restart");
  shut_down();
  if (power_->is_failing()) {
    ASSERT_TRUE(power_->restore_power().ok());
  }
  boot(weather);
}

void FaultyWorld::crash(Weather weather) {
  note("crash");
  power_->fail_after(0);
  (void)power_->head("nothing");
  shut_down();
  ASSERT_TRUE(power_->restore_power().ok());
  boot(weather);
}

bool FaultyWorld::is_to_blame(std::string_view message) {
  return message.find("injected fault") != std::string_view::npos || message.find(objects::kPowerIsOff) != std::string_view::npos ||
         message.find("the worker died") != std::string_view::npos;
}

void FaultyWorld::tolerate(std::string_view what, const Error& error) {
  note("{}: {}", what, error.message);
  EXPECT_TRUE(is_to_blame(error.message)) << what << " failed: " << error.message;
}

std::optional<json::object> FaultyWorld::ask(const Client& client, const std::string& operation, Call call) {
  auto reply = this->call(client, operation, std::move(call));
  if (reply.ok()) return reply->body.is_object() ? reply->body.get_object() : json::object{};
  tolerate(operation, reply.error());
  return std::nullopt;
}

std::vector<catalog::Resource> FaultyWorld::rows(std::string_view kind) {
  catalog::ListQuery query{.kind = std::string(kind), .scope = {first_.organization_id, ""}, .all_namespaces = true, .limit = 10'000};
  return sqlite_->list(query).value().items;
}

std::optional<Task> FaultyWorld::find_task(const std::string& task_id) {
  std::optional<Task> out;
  const Status looked = sqlite_->read([&](catalog::Session& session) -> Status {
    auto task = session.get_task_any(task_id);
    if (task.ok()) out = std::move(*task);
    return Ok{};
  });
  EXPECT_TRUE(looked.ok());
  return out;
}

void FaultyWorld::sweep() {
  EXPECT_TRUE(pipeline::drop_all_retired(*catalog_, *vectors_, *store_, INT64_MAX).ok());
  EXPECT_TRUE(pipeline::drop_expired_snapshots(*catalog_, *store_, clock_.now_us()).ok());
  EXPECT_TRUE(pipeline::sweep_orphans(*catalog_, *store_, INT64_MAX).ok());
}

void FaultyWorld::check_files() {
  const std::string internal_id = context_of(first_, Admission::Scope::kOrganization).value().internal_id;
  std::vector<std::string> known;
  for (const catalog::Resource& row : rows(catalog::kind::kCollection)) {
    const Collection collection = parse_collection(row.body, row.organization_id, row.namespace_id).value();
    if (collection.lifecycle != LifecycleState::kArchived)
      known.push_back(pipeline::table_prefix(internal_id, row.namespace_id, collection.table_id()) + "/");
  }
  for (const catalog::Resource& row : rows(catalog::kind::kSnapshot))
    known.push_back(std::string(string_member(row.body, "s3_prefix")) + "/");
  for (const auto& object : disk_->list("", "", 100'000).value()) {
    const bool is_known =
        std::any_of(known.begin(), known.end(), [&](const std::string& prefix) { return object.key.starts_with(prefix); });
    EXPECT_TRUE(is_known) << "nobody knows " << object.key;
    if (!is_known) return;
  }
}

}  // namespace quarry::service::simulation
