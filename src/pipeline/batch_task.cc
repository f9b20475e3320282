#include "pipeline/batch_task.h"

#include <fmt/format.h>

#include "base/log.h"
#include "model/ids.h"

namespace quarry::pipeline {
namespace {

constexpr size_t kMaxInFlight = 64;
constexpr size_t kObjectPage = 256, kDocumentPage = 8192;
constexpr int kSourceAttempts = 3;
constexpr size_t kMaxGroupItems = 1024;
constexpr size_t kCarefulItems = 32;  // run alone before the task is trusted again

uint64_t document_bytes(const Document& document) {
  uint64_t bytes = 256;
  for (const DenseVector& vector : document.vectors) bytes += vector.values.size() * sizeof(float) + 32;
  for (const auto& [name, value] : document.payload) bytes += name.size() + (value.is_string() ? value.get_string().size() : 64);
  return bytes;
}

struct SourceRef {
  std::string collection_id;  // of a document; empty for an object
  std::string id;
};

SourceRef source_of(const std::string& item_id) {
  size_t slash = item_id.find('/');
  if (slash == std::string::npos) return {"", item_id};
  return {item_id.substr(0, slash), item_id.substr(slash + 1)};
}

bool is_fed(const TierCollection& run, std::string_view source_collection_id) {
  const std::vector<std::string>& sources = run.collection.source.collection_ids;
  return source_collection_id.empty() || std::find(sources.begin(), sources.end(), source_collection_id) != sources.end();
}

}  // namespace

BatchTask::BatchTask(const Shared& shared, TaskControl& control, Task task)
    : shared_(shared),
      options_(shared.options),
      control_(control),
      ledger_(*options_.catalog, *options_.clock, control, std::move(task), {options_.storage_attempts, options_.retry_delay_us}),
      reader_(*options_.store, options_.fetcher, control, {kSourceAttempts, options_.retry_delay_us}),
      place_{text_member(ledger_.task().inputs, "internal_id"), ledger_.task().namespace_id,
             text_member(ledger_.task().inputs, "bucket_id")},
      group_(*options_.vectors, collections_, consumers_, tables_, ledger_, *options_.clock, control,
             {options_.storage_attempts, options_.retry_delay_us}),
      feed_(*options_.catalog, ledger_.task().task_id, ledger_.tier() == 1 ? kObjectPage : kDocumentPage) {}

Status BatchTask::run() {
  if (ledger_.task().cancel_requested) return ledger_.cancel();
  careful_ = unsettled_attempts(ledger_.task()) > options_.max_attempts;
  auto prepared = prepare();
  if (!prepared.ok()) return conclude(prepared);
  auto ran = run_items();
  drain();
  if (ran.ok() && !control_.lost) ran = commit_if_due(true);
  return conclude(ran);
}

Status BatchTask::conclude(const Status& ran) {
  if (control_.lost) return Ok{};
  if (control_.canceled) return ledger_.cancel();
  if (!ran.ok()) {
    if (control_.stopping) return ledger_.hand_back();
    log_warn("a batch failed", {{"task_id", ledger_.task().task_id}, {"reason", ran.error().message}});
    return ledger_.fail(ran.error());
  }
  return control_.stopping ? ledger_.hand_back() : ledger_.finish();
}

Status BatchTask::prepare() {
  QUARRY_RETURN_IF_ERROR(ledger_.begin());
  const json::value* dedup = ledger_.batch().if_contains("dedup_strategy");
  skip_processed_ = dedup && dedup->is_string() && dedup->get_string() == "skip";
  const json::object* info = tier_info(ledger_.batch(), ledger_.tier());
  if (!info) return internal_error(fmt::format("batch has no tier {}", ledger_.tier()));
  const catalog::Scope& scope = ledger_.scope();
  auto ns = options_.catalog->get(catalog::kind::kNamespace, {scope.organization_id, ""}, scope.namespace_id);
  if (!ns.ok() && ns.error().kind != ErrorKind::kNotFound) return std::move(ns).error();
  for (const std::string& id : string_list(*info, "collection_ids")) {
    auto resource = options_.catalog->get(catalog::kind::kCollection, ledger_.scope(), id);
    if (!resource.ok() && resource.error().kind == ErrorKind::kNotFound) {
      ledger_.warn(fmt::format("collection '{}' was deleted after the batch was submitted", id));
      continue;
    }
    if (!resource.ok()) return std::move(resource).error();
    QUARRY_ASSIGN_OR_RETURN(TierCollection run,
                            prepare_collection(resource->body, ledger_.scope(), place_.internal_id, *options_.vectors, shared_.bind));
    if (!run.unusable && ns.ok())
      QUARRY_RETURN_IF_ERROR(
          take_payload_indexes(*options_.catalog, *options_.vectors, ns->body, place_.internal_id, std::move(*resource)));
    tables_[id] = run.collection.table_id();
    collections_.push_back(std::move(run));
  }
  if (auto error = nothing_usable()) return std::move(*error);
  demand_ = blob_demand(collections_);
  return open_other_tiers();
}

// Attaches the earlier tiers' tables, which sources are read from, and the later ones': rows whose source goes away now go with it.
Status BatchTask::open_other_tiers() {
  for (int tier = 1; tier <= tier_count(ledger_.batch()); ++tier) {
    if (tier == ledger_.tier()) continue;
    for (const std::string& id : string_list(*tier_info(ledger_.batch(), tier), "collection_ids")) {
      auto resource = options_.catalog->get(catalog::kind::kCollection, ledger_.scope(), id);
      if (!resource.ok() && resource.error().kind == ErrorKind::kNotFound) continue;
      if (!resource.ok()) return std::move(resource).error();
      QUARRY_ASSIGN_OR_RETURN(Collection other,
                              parse_collection(resource->body, ledger_.scope().organization_id, ledger_.scope().namespace_id));
      auto attached = options_.vectors->attach_table(table_spec(other, place_.internal_id));
      if (!attached.ok() && attached.error().kind != ErrorKind::kNotFound) return attached;
      tables_[id] = other.table_id();
      if (tier < ledger_.tier()) continue;
      for (const std::string& source : other.source.collection_ids) consumers_[source].push_back(id);
    }
  }
  return Ok{};
}

// When no collection can run there is no sense in failing object by object.
std::optional<Error> BatchTask::nothing_usable() const {
  if (collections_.empty()) return bad_request("the collections of this tier no longer exist");
  for (const TierCollection& run : collections_)
    if (!run.unusable) return std::nullopt;
  return collections_.front().unusable;
}

Status BatchTask::run_items() {
  while (!control_.halted()) {
    QUARRY_RETURN_IF_ERROR(feed());
    bool idle;
    {
      std::lock_guard lock(mutex_);
      idle = in_flight_ == 0 && results_.empty() && feed_.exhausted();
    }
    if (idle && group_.empty()) return Ok{};
    if (!idle) QUARRY_RETURN_IF_ERROR(collect());
    QUARRY_RETURN_IF_ERROR(commit_if_due(idle));  // may bring items back
  }
  return Ok{};
}

Status BatchTask::feed() {
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (in_flight_ >= (careful_ ? 1 : kMaxInFlight) || result_bytes_ + group_.bytes() > 2 * options_.commit_bytes) return Ok{};
    }
    if (!feed_.has_loaded()) {
      if (feed_.exhausted()) return Ok{};
      QUARRY_RETURN_IF_ERROR(load_page());
      if (!feed_.has_loaded()) return Ok{};
    }
    catalog::WorkItem item = feed_.pop();
    if (!careful_)
      submit(std::move(item));
    else
      QUARRY_RETURN_IF_ERROR(run_alone(std::move(item)));
  }
}

// What an earlier worker began alone and did not survive is not begun for ever.
Status BatchTask::run_alone(catalog::WorkItem item) {
  auto suspect = suspect_of(ledger_.task());
  if (!suspect || suspect->item_id != item.item_id || suspect->tries < options_.max_item_attempts) {
    QUARRY_RETURN_IF_ERROR(ledger_.note_suspect(item.item_id));
    submit(std::move(item));
    return Ok{};
  }
  log_error("an item is given up: its workers died", {{"task_id", ledger_.task().task_id}, {"item_id", item.item_id}});
  group_.add(given_up(item, suspect->tries));
  return commit_if_due(true);
}

ExtractedItem BatchTask::given_up(const catalog::WorkItem& item, int tries) const {
  ExtractedItem out;
  out.item_id = item.item_id;
  out.position = item.position;
  SourceRef source = source_of(item.item_id);
  out.source_id = source.id;
  out.object_id = source.id;
  if (ledger_.tier() > 1) {
    mvs::Projection nothing;
    nothing.payload = false;
    auto document = options_.vectors->get(table_name(tables_, source.collection_id), {source.id}, nothing);
    out.object_id = document.ok() && !document->empty() ? document->front().lineage.root_object_id : "";
  }
  out.failures.push_back({"", Error{ErrorKind::kProcessing, fmt::format("the worker died {} times while it processed this", tries)}});
  return out;
}

Status BatchTask::load_page() {
  size_t open = group_.items();
  {
    std::lock_guard lock(mutex_);
    open += in_flight_ + results_.size();
  }
  QUARRY_ASSIGN_OR_RETURN(const auto* items, feed_.load(open));
  if (ledger_.tier() > 1 || items->empty()) return Ok{};
  std::vector<std::string> ids;
  for (const catalog::WorkItem& item : *items) ids.push_back(item.item_id);
  return ledger_.mark_processing(ids);
}

void BatchTask::submit(catalog::WorkItem item) {
  {
    std::lock_guard lock(mutex_);
    ++in_flight_;
  }
  bool taken = shared_.extraction.submit([this, item = std::move(item)] {
    ExtractedItem result = process(item);
    std::lock_guard lock(mutex_);
    if (!result.abandoned) {
      result_bytes_ += result.bytes;
      results_.push_back(std::move(result));
    }
    --in_flight_;
    finished_.notify_one();  // under the lock: the task may go as soon as the count is seen to be zero
  });
  if (taken) return;
  std::lock_guard lock(mutex_);
  --in_flight_;
  control_.stopping = true;  // the executor refuses only when the engine goes down
}

// Waits for results, at most until the open group is due.
Status BatchTask::collect() {
  std::vector<ExtractedItem> arrived;
  {
    std::unique_lock lock(mutex_);
    finished_.wait_for(lock, std::chrono::milliseconds(100), [&] { return !results_.empty() || in_flight_ == 0; });
    arrived.swap(results_);
    result_bytes_ = 0;
  }
  for (ExtractedItem& item : arrived) {
    group_.add(std::move(item));
    QUARRY_RETURN_IF_ERROR(commit_if_due(false));
  }
  return Ok{};
}

Status BatchTask::commit_if_due(bool force) {
  if (group_.empty()) return Ok{};
  bool due = force || careful_ || group_.documents() >= options_.commit_documents || group_.bytes() >= options_.commit_bytes ||
             group_.items() >= kMaxGroupItems || options_.clock->steady_us() - group_.opened_steady_us() >= options_.commit_interval_us;
  if (!due) return Ok{};
  size_t items = group_.items();
  QUARRY_RETURN_IF_ERROR(group_.commit());
  recorded_ += items;
  if (recorded_ >= kCarefulItems) careful_ = false;
  for (catalog::WorkItem& item : group_.take_outdated())
    if (!control_.halted()) submit(std::move(item));
  return Ok{};
}

// Afterwards no thread of the engine touches this task. What was finished on a halt joins the group.
void BatchTask::drain() {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return in_flight_ == 0; });
  for (ExtractedItem& item : results_) group_.add(std::move(item));
  results_.clear();
}

ExtractedItem BatchTask::process(const catalog::WorkItem& item) const {
  ExtractedItem out;
  out.item_id = item.item_id;
  out.position = item.position;
  if (control_.halted()) {
    out.abandoned = true;
    return out;
  }
  try {
    if (ledger_.tier() == 1) {
      process_object(out);
    } else {
      process_document(out);
    }
  } catch (const std::exception& e) {  // out of memory, or JSON of an unexpected shape: costs this item only
    out.outputs.clear();
    out.failures.push_back({"", Error{ErrorKind::kProcessing, e.what()}});
  }
  return out;
}

void BatchTask::process_object(ExtractedItem& out) const {
  out.source_id = out.object_id = out.item_id;
  SourceLineage lineage;
  lineage.read_at = options_.clock->now_us();
  auto object = options_.catalog->get(catalog::kind::kObject, {ledger_.task().organization_id, ledger_.task().namespace_id}, out.item_id);
  if (!object.ok()) {
    if (object.error().kind == ErrorKind::kNotFound)
      leave_nothing("", out);
    else
      out.failures.push_back({"", std::move(object).error()});
    return;
  }
  out.content_at = lineage.changed_at = content_changed_at(object->body);
  if (is_disabled(object->body)) {
    out.skipped = true;
    return;
  }
  auto blobs = parse_blobs(object->body);
  ByteBudget::Share held(shared_.sources, blobs.ok() ? expected_bytes(*blobs, demand_) : 0);
  auto source = reader_.read(object->body, place_, demand_);
  if (!source.ok()) {
    out.failures.push_back({"", std::move(source).error()});
    return;
  }
  out.mirrored = source->mirrored;
  lineage.source_id = out.item_id;
  lineage.parent.root_object_id = out.item_id;
  lineage.parent.root_bucket_id = place_.bucket_id;
  extract_all(*source, lineage, source->item.fields, out);
}

void BatchTask::process_document(ExtractedItem& out) const {
  SourceRef ref = source_of(out.item_id);
  SourceLineage lineage;
  lineage.collection_id = ref.collection_id;
  out.source_id = lineage.source_id = ref.id;
  lineage.read_at = options_.clock->now_us();
  mvs::Projection projection;
  projection.vectors = true;
  auto found = options_.vectors->get(table_name(tables_, lineage.collection_id), {lineage.source_id}, projection);
  if (!found.ok() && found.error().kind != ErrorKind::kNotFound) {
    out.failures.push_back({"", std::move(found).error()});
    return;
  }
  if (!found.ok() || found->empty()) {
    leave_nothing(lineage.collection_id, out);
    return;
  }
  const Document& document = found->front();
  lineage.parent = document.lineage;
  lineage.changed_at = document.updated_at;
  out.object_id = document.lineage.root_object_id;
  ReadObject source = read_document(document);
  extract_all(source, lineage, source.item.fields, out);
}

bool BatchTask::up_to_date(const TierCollection& run, const std::string& source_id, TimestampUs changed_at) const {
  mvs::Projection nothing;
  nothing.payload = false;
  auto found = options_.vectors->get(run.collection.table_id(), {derive_document_id(run.collection.collection_id, source_id, 0)}, nothing);
  return found.ok() && !found->empty() && found->front().updated_at >= changed_at;
}

// A later tier may be new, or have changed: it gets the documents although they were not written now.
void BatchTask::keep(const TierCollection& run, const std::string& source_id, ExtractedItem& out) const {
  constexpr size_t kPage = 1'000;
  const std::string& collection_id = run.collection.collection_id;
  if (!consumers_.contains(collection_id)) {
    out.kept.emplace_back(collection_id, std::vector<std::string>());
    return;
  }
  mvs::ScanRequest request;
  request.table_id = run.collection.table_id();
  request.filter = equals(ledger_.tier() == 1 ? "source_object_id" : "source_document_id", json::value(source_id.c_str()));
  request.limit = kPage;
  request.projection.payload = false;
  std::vector<std::string> ids;
  for (bool more = true; more;) {
    auto page = options_.vectors->scan(request);
    if (!page.ok()) {
      out.failures.push_back({collection_id, std::move(page).error()});
      return;
    }
    for (const Document& document : page->documents) ids.push_back(document.document_id);
    more = page->has_more && !page->documents.empty();
    if (more) request.after_document_id = page->documents.back().document_id;
  }
  out.kept.emplace_back(collection_id, std::move(ids));
}

// The source is gone. An earlier life of the task may have written what it made of it, and not lived to see that it is gone.
void BatchTask::leave_nothing(std::string_view source_collection_id, ExtractedItem& out) const {
  out.skipped = true;
  for (size_t i = 0; i < collections_.size(); ++i)
    if (!collections_[i].unusable && is_fed(collections_[i], source_collection_id)) out.outputs.push_back({i, {}});
}

void BatchTask::extract_all(const ReadObject& source, const SourceLineage& lineage, const json::object& filterable,
                            ExtractedItem& out) const {
  for (size_t i = 0; i < collections_.size(); ++i) {
    const TierCollection& run = collections_[i];
    const CollectionSource& from = run.collection.source;
    if (!is_fed(run, lineage.collection_id)) continue;
    if (run.unusable) {
      out.failures.push_back({run.collection.collection_id, *run.unusable});
      continue;
    }
    if (!matches(from.filter, filterable)) {
      out.outputs.push_back({i, {}});  // what an earlier run made of it goes
      continue;
    }
    if (skip_processed_ && up_to_date(run, lineage.source_id, lineage.changed_at)) {
      keep(run, lineage.source_id, out);
      continue;
    }
    auto documents = make_documents(run, source, lineage, options_.extract);
    if (!documents.ok()) {
      out.failures.push_back({run.collection.collection_id, std::move(documents).error()});
      continue;
    }
    out.documents += documents->size();
    for (const Document& document : *documents) out.bytes += document_bytes(document);
    out.outputs.push_back({i, std::move(documents).value()});
  }
}

}  // namespace quarry::pipeline
