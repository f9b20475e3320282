#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>

#include "mvs/data_file.h"
#include "mvs/table_internal.h"
#include "mvs/tiering/log_stats.h"
#include "mvs/warm/json_text.h"
#include "mvs/warm/parquet_file.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

constexpr int kMaxConflicts = 16;

// set_path() and unset_path() go one call deeper for each step.
Status check_path(std::string_view path) {
  if (size_t(std::count(path.begin(), path.end(), '.')) < kMaxPayloadDepth) return Ok{};
  return bad_request(fmt::format("the path '{}...' has more than {} steps", path.substr(0, 40), kMaxPayloadDepth));
}

Status check_patch(const TableSchema& schema, const DocumentPatch& patch) {
  for (const auto& member : patch.set) QUARRY_RETURN_IF_ERROR(check_path(member.key()));
  for (const auto& path : patch.unset) QUARRY_RETURN_IF_ERROR(check_path(path));
  Document probe;  // what check_document says of the patch's own values
  probe.document_id = patch.document_id;
  probe.payload = patch.set;
  probe.vectors = patch.vectors;
  probe.sparse_vectors = patch.sparse_vectors;
  probe.multi_vectors = patch.multi_vectors;
  return check_document(schema, probe);
}

Status check_batch(const TableSchema& schema, const WriteBatch& batch) {
  for (const auto& patch : batch.patches) QUARRY_RETURN_IF_ERROR(check_patch(schema, patch));
  if (batch.txn_app.size() > 512) return bad_request("txn_app is longer than 512 bytes");
  return Ok{};
}

// Positions of the batch's upserts that count: of equal ids the last.
std::vector<size_t> last_of_each_id(const std::vector<Document>& documents) {
  std::unordered_map<std::string_view, size_t> last;
  last.reserve(documents.size());
  for (size_t i = 0; i < documents.size(); ++i) last[documents[i].document_id] = i;
  std::vector<size_t> out;
  for (size_t i = 0; i < documents.size(); ++i)
    if (last[documents[i].document_id] == i) out.push_back(i);
  return out;
}

// As text, roughly.
uint64_t json_bytes(const json::value& value) {
  uint64_t bytes = 8;
  if (const auto* text = value.if_string()) bytes += text->size();
  if (const auto* items = value.if_array())
    for (const auto& item : *items) bytes += json_bytes(item);
  if (const auto* members = value.if_object())
    for (const auto& member : *members) bytes += member.key().size() + json_bytes(member.value());
  return bytes;
}

uint64_t json_bytes(const json::object& members) {
  uint64_t bytes = 0;
  for (const auto& member : members) bytes += member.key().size() + json_bytes(member.value());
  return bytes;
}

// Of a Document or a DocumentPatch.
template <class T>
uint64_t vector_bytes(const T& of) {
  uint64_t bytes = 0;
  for (const auto& v : of.vectors) bytes += v.values.size() * sizeof(float);
  for (const auto& v : of.sparse_vectors) bytes += v.values.size() * (sizeof(float) + sizeof(int64_t));
  for (const auto& v : of.multi_vectors) bytes += v.values.size() * sizeof(float);
  return bytes;
}

uint64_t estimated_bytes(const WriteBatch& batch) {
  uint64_t bytes = 0;
  for (const auto& d : batch.upserts) bytes += 512 + json_bytes(d.payload) + vector_bytes(d);
  for (const auto& p : batch.patches) bytes += 512 + json_bytes(p.set) + vector_bytes(p);
  return bytes;
}

}  // namespace

int64_t Table::now_ms() const { return shared_->options.clock->now_us() / 1000; }

Result<WriteResult> Table::write(WriteBatch batch) {
  const Pin pin(*this);
  QUARRY_ASSIGN_OR_RETURN(const auto base, snapshot());
  QUARRY_RETURN_IF_ERROR(check_batch(*base->schema, batch));
  for (const auto& id : batch.must_be_absent)  // spares a data file; what counts is looked up again when the write commits
    if (batch.txn_app.empty() && base->find(id)) return document_exists(id);
  const uint64_t estimate = estimated_bytes(batch);
  QUARRY_RETURN_IF_ERROR(check_budget(batch, estimate));
  PendingWrite write;
  write.batch = std::move(batch);
  write.schema = base->schema;
  QUARRY_RETURN_IF_ERROR(encode(write, *base));
  return submit(write, estimate);
}

Result<uint64_t> Table::delete_where(const Filter& filter) {
  const Pin pin(*this);
  QUARRY_ASSIGN_OR_RETURN(const auto base, snapshot());
  PendingWrite write;
  write.schema = base->schema;
  write.delete_filter = &filter;
  QUARRY_ASSIGN_OR_RETURN(const WriteResult result, submit(write, 0));
  return result.deleted;
}

Status Table::check_budget(const WriteBatch& batch, uint64_t bytes) {
  if (batch.upserts.empty() && batch.patches.empty()) return Ok{};
  if (const uint64_t excess = shared_->excess_bytes(queue_.queued_bytes() + bytes); excess > 0) shared_->make_room(excess, this);
  if (shared_->excess_bytes(queue_.queued_bytes() + bytes) == 0) return Ok{};
  const uint64_t budget = shared_->options.memory_budget_bytes;
  const uint64_t used = uint64_t(std::max<int64_t>(shared_->memory_bytes.load(), 0)) + queue_.queued_bytes();
  return Error(ErrorKind::kTooManyRequests,
               fmt::format("the vector store holds {} of {} bytes; this write needs about {}", used, budget, bytes),
               {{"memory_bytes", used}, {"memory_budget_bytes", budget}, {"retryable", true}, {"retry_after_seconds", 5}});
}

Status Table::encode(PendingWrite& write, const Snapshot& base) {
  auto& documents = write.batch.upserts;
  if (documents.empty()) return Ok{};
  const TimestampUs now = shared_->options.clock->now_us();
  const auto positions = last_of_each_id(documents);
  RowEncoder encoder(write.schema, positions.size());
  for (const size_t i : positions) {
    Document& d = documents[i];
    if (d.updated_at == 0) d.updated_at = now;
    if (d.created_at == 0) {
      const auto known = base.find(d.document_id);
      d.created_at = known ? base.view(known->segment)->segment->block().created_at(known->row) : now;
    }
    QUARRY_RETURN_IF_ERROR(encoder.append(d));
  }
  write.row_count = encoder.rows();
  QUARRY_ASSIGN_OR_RETURN(write.rows, encoder.finish());
  documents = {};
  return Ok{};
}

Result<WriteResult> Table::submit(PendingWrite& write, uint64_t bytes) {
  queue_.run(write, bytes);
  schedule_upkeep();
  return std::move(write.result);
}

// Outside the turn: the group's upserts become one data file on the store.
std::shared_ptr<void> Table::prepare(const WriteGroup& group) {
  auto out = std::make_shared<PreparedGroup>();
  const auto run = [&]() -> Status {
    if (dropped_) return gone();  // a group that commits after the drop, which lists its files in a turn, is prepared after this is set
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
    for (const auto* write : group)
      if (write->rows != nullptr) batches.push_back(write->rows);
    if (batches.empty()) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(auto joined, concatenate(*group.front()->schema, batches));
    for (auto* write : group) write->rows.reset();
    QUARRY_ASSIGN_OR_RETURN(auto block, RowBlock::make(group.front()->schema, std::move(joined)));
    QUARRY_ASSIGN_OR_RETURN(out->view, write_rows(std::move(block)));
    return Ok{};
  };
  out->status = run();
  return out;
}

// Encodes a data file and puts it; it is in no commit yet.
Result<SegmentView> Table::write_rows(std::shared_ptr<const RowBlock> block) {
  QUARRY_ASSIGN_OR_RETURN(AddFile file, put_data_file(files_, *block, now_ms()));
  SegmentView out;
  out.segment = std::make_shared<const Segment>(next_uid_++, std::move(block));
  out.live = out.segment->rows();
  out.file = std::make_shared<const AddFile>(std::move(file));
  return out;
}

void Table::commit(const WriteGroup& group, PreparedGroup* prepared) {
  std::vector<GroupItem> items;
  size_t row = 0;
  for (const auto* write : group) {
    items.push_back({&write->batch, write->delete_filter, row, write->row_count, false});
    row += write->row_count;
  }
  Status status = prepared->status;
  if (status.ok() && dropped_) status = gone();
  if (status.ok()) status = commit_group(group, *prepared, items);
  if (status.ok()) return;
  for (auto* write : group) write->result = status.error();
}

Status Table::commit_group(const WriteGroup& group, PreparedGroup& prepared, std::vector<GroupItem>& items) {
  QUARRY_RETURN_IF_ERROR(follow());
  for (int attempt = 0; attempt < kMaxConflicts; ++attempt) {
    QUARRY_ASSIGN_OR_RETURN(ResolvedGroup resolved, resolve(group, prepared, items));
    QUARRY_ASSIGN_OR_RETURN(const bool committed, try_commit(prepared, resolved));
    if (!committed) continue;
    for (size_t i = 0; i < group.size(); ++i) {
      if (items[i].skipped) continue;
      WriteResult& result = resolved.results[i];
      result.version = log_.version;
      const auto known = transaction_versions_.find(group[i]->batch.txn_app);
      if (result.repeated && known != transaction_versions_.end()) result.version = known->second;
      group[i]->result = std::move(result);
    }
    return Ok{};
  }
  return Error(ErrorKind::kConflict, fmt::format("table '{}': other writers committed first {} times", spec_.table_id, kMaxConflicts));
}

Result<ResolvedGroup> Table::resolve(const WriteGroup& group, const PreparedGroup& prepared, std::vector<GroupItem>& items) {
  const auto base = current();
  const RowBlock* block = prepared.view.segment != nullptr ? &prepared.view.segment->block() : nullptr;
  for (;;) {
    auto outcome = resolve_group(*base, log_, block, items, shared_->options.clock->now_us());
    if (auto* resolved = std::get_if<ResolvedGroup>(&outcome)) return std::move(*resolved);
    auto& failure = std::get<ItemFailure>(outcome);
    items[failure.item].skipped = true;
    group[failure.item]->result = std::move(failure.error);
  }
}

// False: another writer was first; the log has been followed, and the group must be resolved again.
Result<bool> Table::try_commit(PreparedGroup& prepared, ResolvedGroup& resolved) {
  const auto base = current();
  if (!resolved.changes_anything(prepared.view.segment != nullptr ? prepared.view.segment->rows() : 0)) return true;
  CommitPlan plan;
  plan.next = std::make_shared<Snapshot>(*base);
  for (const auto& txn : resolved.transactions) plan.actions.emplace_back(txn);
  DeletionVectorFileBuilder vectors;
  QUARRY_RETURN_IF_ERROR(plan_new_rows(prepared, resolved, plan, vectors));
  plan_deletions(resolved.deleted, plan, vectors);
  if (!vectors.empty()) QUARRY_RETURN_IF_ERROR(files_.store.put(files_.key(vectors.file_name()), vectors.bytes()));
  const bool only_deletes = plan.added.empty();
  QUARRY_ASSIGN_OR_RETURN(const bool committed, put_commit(plan, only_deletes ? "DELETE" : resolved.deleted.empty() ? "WRITE" : "MERGE"));
  if (!committed) return false;
  for (const auto& txn : resolved.transactions) transaction_versions_[txn.app_id] = log_.version;
  return true;
}

Status Table::plan_new_rows(PreparedGroup& prepared, ResolvedGroup& resolved, CommitPlan& plan, DeletionVectorFileBuilder& vectors) {
  if (prepared.view.segment != nullptr && resolved.block_deleted.count() < prepared.view.segment->rows()) {
    SegmentView view = prepared.view;
    if (!resolved.block_deleted.none()) mark_deleted(view, std::move(resolved.block_deleted), vectors);
    plan.added.push_back(std::move(view));
  }
  if (!resolved.patched.empty()) {
    const auto& schema = plan.next->schema;
    RowEncoder encoder(schema, resolved.patched.size());
    for (const auto& document : resolved.patched) QUARRY_RETURN_IF_ERROR(encoder.append(document));
    QUARRY_ASSIGN_OR_RETURN(auto batch, encoder.finish());
    QUARRY_ASSIGN_OR_RETURN(auto block, RowBlock::make(schema, std::move(batch)));
    QUARRY_ASSIGN_OR_RETURN(SegmentView view, write_rows(std::move(block)));
    plan.added.push_back(std::move(view));
  }
  for (const auto& view : plan.added) plan.actions.emplace_back(*view.file);
  return Ok{};
}

// Gives `view` these deleted rows: a new deletion vector, and a file entry that refers to it.
void Table::mark_deleted(SegmentView& view, Bitmap deleted, DeletionVectorFileBuilder& vectors) {
  AddFile file = *view.file;
  file.deletion_vector = vectors.append(deleted);
  file.stats = loosen_stats(file.stats);
  file.tags[kVectorsTag] = vectors_tag_value(view.segment->block(), &deleted);
  view.live = view.segment->rows() - deleted.count();
  view.deleted = std::make_shared<const Bitmap>(std::move(deleted));
  view.file = std::make_shared<const AddFile>(std::move(file));
}

void Table::plan_deletions(std::map<uint32_t, Bitmap>& deleted, CommitPlan& plan, DeletionVectorFileBuilder& vectors) {
  for (auto& view : plan.next->views) {
    const auto it = deleted.find(view.segment->uid());
    if (it == deleted.end()) continue;
    plan.actions.emplace_back(RemoveFile{view.file->path, now_ms(), true, view.file->size, view.file->deletion_vector});
    if (it->second.count() == view.segment->rows()) {
      view.live = 0;
      continue;
    }
    mark_deleted(view, std::move(it->second), vectors);
    plan.actions.emplace_back(*view.file);
  }
}

// Commits the plan as the next version and publishes its snapshot. False: another writer was first, and the log has been followed.
Result<bool> Table::put_commit(CommitPlan& plan, std::string_view operation) {
  const int64_t version = log_.version + 1;
  if (log_.version >= 0)
    if (auto amended = amended_protocol(log_.protocol)) plan.actions.insert(plan.actions.begin(), *std::move(amended));
  plan.actions.insert(plan.actions.begin(), sealed_info({{"timestamp", now_ms()},
                                                         {"operation", operation},
                                                         {"operationParameters", json::object{}},
                                                         {"engineInfo", "Quarry"},
                                                         {"txnId", to_string(random_uuid())}}));
  const std::string text = encode_commit(plan.actions);
  auto outcome = delta_log_.put(version, text);
  if (!outcome.ok()) {
    unsure_ = true;
    return std::move(outcome).error();
  }
  if (*outcome == PutOutcome::kLost) {
    if (log_.version >= 0 && !repairing_) QUARRY_RETURN_IF_ERROR(catch_up());
    return false;
  }
  note_own_commit(version, text);
  log_.apply(plan.actions, version);
  followed_us_ = shared_->options.clock->now_us();
  Snapshot& next = *plan.next;
  next.version = version;
  next.data_version = log_.data_version;
  for (const auto& view : plan.added) next.views.push_back(view);
  std::sort(next.views.begin(), next.views.end(), [](const auto& a, const auto& b) { return a.segment->uid() < b.segment->uid(); });
  next.settle();
  for (const auto& view : plan.added)
    next.ids.add(view.segment->uid(), view.segment->id_hashes(), [&](RowRef ref) { return next.is_live(ref); });
  publish(std::move(plan.next), std::move(plan.indexes));
  return true;
}

}  // namespace quarry::mvs
