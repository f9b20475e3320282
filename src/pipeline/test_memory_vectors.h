// A vector store in memory for tests: documents per table, replaced by source as the real one does, failing on demand.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "mvs/mvs.h"

namespace quarry::pipeline {

class MemoryVectors final : public mvs::VectorStore {
 public:
  // Writes fail with `error` this many times; negative: until set to 0.
  void fail_writes(int count, Error error) {
    std::lock_guard lock(mutex_);
    failures_ = count;
    failure_ = std::move(error);
  }
  // A write that holds a document with this payload member is refused as a whole, as a NaN in a vector is.
  static constexpr std::string_view kPoison = "poison";

  std::map<std::string, Document> documents(const std::string& table_id) const {
    std::lock_guard lock(mutex_);
    auto it = tables_.find(table_id);
    return it == tables_.end() ? std::map<std::string, Document>() : it->second;
  }
  uint64_t writes() const { return writes_; }

  Status create_table(const mvs::TableSpec& spec) override {
    std::lock_guard lock(mutex_);
    return tables_.try_emplace(spec.table_id).second ? Status(Ok{}) : already_exists(spec.table_id);
  }
  Status attach_table(const mvs::TableSpec& spec) override {
    std::lock_guard lock(mutex_);
    return tables_.contains(spec.table_id) ? Status(Ok{}) : not_found(spec.table_id);
  }
  Status extend_table(const mvs::TableSpec&) override { return Ok{}; }
  Status drop_table(std::string_view table_id) override {
    std::lock_guard lock(mutex_);
    tables_.erase(std::string(table_id));
    return Ok{};
  }

  Result<mvs::WriteResult> write(std::string_view table_id, mvs::WriteBatch batch) override {
    std::lock_guard lock(mutex_);
    auto table = tables_.find(std::string(table_id));
    if (table == tables_.end()) return not_found("no table");
    if (failures_ != 0) {
      if (failures_ > 0) --failures_;
      return failure_;
    }
    for (const Document& document : batch.upserts)
      if (document.payload.contains(kPoison)) return bad_request("a document is poisoned");
    return apply(table->second, std::move(batch));
  }

  Result<uint64_t> delete_where(std::string_view table_id, const Filter& filter) override {
    std::lock_guard lock(mutex_);
    auto table = tables_.find(std::string(table_id));
    if (table == tables_.end()) return not_found("no table");
    return std::erase_if(table->second, [&](const auto& entry) { return matches(filter, view(entry.second)); });
  }

  Result<std::vector<Document>> get(std::string_view table_id, const std::vector<std::string>& ids, const mvs::Projection&) override {
    std::lock_guard lock(mutex_);
    auto table = tables_.find(std::string(table_id));
    if (table == tables_.end()) return not_found("no table");
    std::vector<Document> out;
    for (const std::string& id : ids)
      if (auto it = table->second.find(id); it != table->second.end()) out.push_back(it->second);
    return out;
  }

  Result<mvs::ScanResult> scan(const mvs::ScanRequest& request) override {
    std::lock_guard lock(mutex_);
    auto table = tables_.find(request.table_id);
    if (table == tables_.end()) return not_found("no table");
    mvs::ScanResult out;
    for (const auto& [id, document] : table->second) {
      if (!matches(request.filter, view(document)) || id <= request.after_document_id) continue;
      if (out.documents.size() == request.limit) {
        out.has_more = true;
        break;
      }
      out.documents.push_back(document);
    }
    return out;
  }

  Result<uint64_t> count(std::string_view table_id, const Filter& filter) override {
    std::lock_guard lock(mutex_);
    auto table = tables_.find(std::string(table_id));
    if (table == tables_.end()) return not_found("no table");
    return static_cast<uint64_t>(
        std::count_if(table->second.begin(), table->second.end(), [&](const auto& entry) { return matches(filter, view(entry.second)); }));
  }

  Result<mvs::SearchResult> search(const mvs::SearchRequest&) override { return unsupported(); }
  Status for_each(std::string_view, const Filter&, const mvs::Projection&, const std::function<bool(const Document&)>&) override {
    return unsupported();
  }
  Result<std::vector<mvs::FacetValue>> facet(std::string_view, const Filter&, const std::string&, size_t) override { return unsupported(); }
  Result<mvs::TableStats> stats(std::string_view table_id) override {
    mvs::TableStats out;
    out.documents = documents(std::string(table_id)).size();
    return out;
  }
  Status set_tier(std::string_view, mvs::Tier) override { return Ok{}; }
  std::vector<mvs::TableUsage> usage() override { return {}; }
  Status maintain(std::string_view) override { return Ok{}; }

 private:
  using Table = std::map<std::string, Document>;

  static Error unsupported() { return {ErrorKind::kNotImplemented, "not part of this test store"}; }
  static std::string source_of(const Document& d) {
    return d.lineage.source_document_id.empty() ? d.lineage.source_object_id : d.lineage.source_document_id;
  }
  static json::object view(const Document& d) {
    json::object out = d.payload;
    out["root_object_id"] = d.lineage.root_object_id;
    out["source_object_id"] = d.lineage.source_object_id;
    out["source_document_id"] = d.lineage.source_document_id;
    return out;
  }

  Result<mvs::WriteResult> apply(Table& table, mvs::WriteBatch batch) {
    mvs::WriteResult result;
    std::set<std::string> kept;
    for (const Document& document : batch.upserts) kept.insert(document.document_id);
    if (batch.replace) {
      std::set<std::string> sources(batch.replace->source_ids.begin(), batch.replace->source_ids.end());
      result.deleted =
          std::erase_if(table, [&](const auto& e) { return sources.contains(source_of(e.second)) && !kept.contains(e.first); });
    }
    for (Document& document : batch.upserts) {
      bool inserted = table.insert_or_assign(document.document_id, std::move(document)).second;
      ++(inserted ? result.inserted : result.replaced);
    }
    for (const std::string& id : batch.deletes) result.deleted += table.erase(id);
    result.version = static_cast<int64_t>(++writes_);
    return result;
  }

  mutable std::mutex mutex_;
  std::map<std::string, Table> tables_;
  int failures_ = 0;
  Error failure_;
  std::atomic<uint64_t> writes_{0};
};

}  // namespace quarry::pipeline
