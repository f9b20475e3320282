// Writes, and what becomes of those that fail.
#include "mvs/simulation/simulation.h"

namespace quarry::mvs::simulation {
namespace {

std::optional<std::string> difference(const WriteResult& got, const WriteResult& wanted) {
  const auto counts = [](const WriteResult& r) {
    return fmt::format("inserted {}, replaced {}, patched {}, deleted {}, missing {}", r.inserted, r.replaced, r.patched, r.deleted,
                       r.missing.size());
  };
  if (counts(got) == counts(wanted) && got.missing == wanted.missing) return std::nullopt;
  return fmt::format("{} instead of {}", counts(got), counts(wanted));
}

}  // namespace

Status Simulation::change(std::string_view what, const Write& write, const Change& apply) {
  Oracle after = truth_;
  const WriteResult wanted = apply(after);
  const auto got = write();
  if (!got.ok()) {
    QUARRY_RETURN_IF_ERROR(tolerate(what, got.error()));
    QUARRY_RETURN_IF_ERROR(settle(what, std::move(after)));
    return Ok{};
  }
  note(what, Ok{});
  if (const auto differs = difference(*got, wanted)) return internal_error(fmt::format("{}: {}", what, *differs));
  truth_ = std::move(after);
  behind_.clear();
  has_to_catch_up_ = false;
  return Ok{};
}

// A write failed: the disk tells whether it took place.
Result<bool> Simulation::settle(std::string_view what, Oracle after) {
  behind_.push_back(truth_);
  if (world_.power().is_off()) QUARRY_RETURN_IF_ERROR(crash());
  auto found = world_.on_disk();
  if (!found.ok()) return std::move(found).error().with_context(fmt::format("reading the disk after a failed {}", what));
  const Question all = everything();
  const auto without = fault_of(all, *found, truth_);
  if (without && fault_of(all, *found, after)) return internal_error(fmt::format("a failed {} took place in part: {}", what, *without));
  if (without) {
    note(fmt::format("{}: it took place", what));
    truth_ = std::move(after);
  }
  // A write that changes nothing is answered from what the server knows, which another server's commit may have made old.
  if (has_to_catch_up_) QUARRY_RETURN_IF_ERROR(restart());
  return without.has_value();
}

Status Simulation::write_batch(std::string_view what, WriteBatch batch) {
  const TimestampUs now = world_.clock().now_us();
  return change(
      what, [&] { return world_.server().write(kTable, batch); }, [&](Oracle& oracle) { return oracle.apply(batch, now); });
}

Status Simulation::erase_matching() {
  const Filter filter = equals("title", json::string(source_.word()));
  const auto write = [&]() -> Result<WriteResult> {
    WriteResult out;
    QUARRY_ASSIGN_OR_RETURN(out.deleted, world_.server().delete_where(kTable, filter));
    return out;
  };
  return change("delete by a filter", write, [&](Oracle& oracle) {
    WriteResult out;
    out.deleted = oracle.erase_matching(filter);
    return out;
  });
}

// Tried until it is acknowledged, and once more: it takes place once.
Status Simulation::write_transaction() {
  WriteBatch batch = draw_batch(source_);
  batch.upserts.push_back(source_.document(kIds));
  batch.upserts.back().updated_at += ++txn_version_;  // no two alike, so that the disk tells whether it took place
  batch.txn_app = "task_" + std::to_string(source_.below(3));
  batch.txn_version = txn_version_;
  std::erase(batch.deletes, batch.upserts.back().document_id);
  const TimestampUs now = world_.clock().now_us();
  bool has_taken_place = false;
  for (int attempt = 0; attempt < 10; ++attempt) {
    Oracle after = truth_;
    if (!has_taken_place) after.apply(batch, now);
    const auto got = world_.server().write(kTable, batch);
    if (got.ok()) {
      note("transaction", Ok{});
      if (got->repeated != has_taken_place) return internal_error("a transaction took place twice, or not at all");
      truth_ = std::move(after);
      behind_.clear();
      if (std::exchange(has_taken_place, true)) return Ok{};
      continue;
    }
    QUARRY_RETURN_IF_ERROR(tolerate("transaction", got.error()));
    QUARRY_ASSIGN_OR_RETURN(const bool took_place, settle("transaction", std::move(after)));
    has_taken_place = has_taken_place || took_place;
  }
  return Ok{};
}

// Another server writes; this one meets its commit when it writes next.
Status Simulation::rival() {
  if (world_.power().is_failing()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(const auto other, world_.other_server());
  const WriteBatch batch = draw_batch(source_);
  behind_.push_back(truth_);
  truth_.apply(batch, world_.clock().now_us());
  QUARRY_RETURN_IF_ERROR(other->write(kTable, batch));
  if (source_.one_in(2)) QUARRY_RETURN_IF_ERROR(other->maintain(kTable));
  note("another server's write", Ok{});
  has_to_catch_up_ = true;
  return write_batch("write after another server's", {.upserts = draw_documents(source_, 3)});
}

Status Simulation::extend() {
  TableSpec wider = world_.spec;
  wider.fields.push_back({source_.one_in(2) ? "tags" : "a.b", FieldType::kInteger});
  for (const FieldSpec& field : world_.spec.fields)
    if (field.name == wider.fields.back().name) return Ok{};
  const Status extended = world_.server().extend_table(wider);
  if (!extended.ok()) return tolerate("more columns", extended.error());
  note("more columns", extended);
  world_.spec = std::move(wider);
  return Ok{};
}

}  // namespace quarry::mvs::simulation
