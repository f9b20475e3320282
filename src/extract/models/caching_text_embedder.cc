#include <list>
#include <string>
#include <unordered_map>

#include "extract/extract.h"

namespace quarry::extract {
namespace {

// What an entry costs beside its text and vector: list and map nodes, the embedding's own fields.
constexpr size_t kEntryOverhead = 192;

class CachingTextEmbedder : public TextEmbedder {
 public:
  CachingTextEmbedder(std::shared_ptr<const TextEmbedder> inner, size_t max_bytes) : inner_(std::move(inner)), max_bytes_(max_bytes) {}

  const std::string& output_name() const override { return inner_->output_name(); }
  uint32_t dimension() const override { return inner_->dimension(); }
  uint32_t max_tokens() const override { return inner_->max_tokens(); }

  Result<Embedding> embed(std::string_view text) const override {
    {
      std::lock_guard lock(mutex_);
      if (auto found = by_text_.find(text); found != by_text_.end()) {
        entries_.splice(entries_.begin(), entries_, found->second);
        return found->second->embedding;
      }
    }
    QUARRY_ASSIGN_OR_RETURN(Embedding embedding, inner_->embed(text));
    remember(text, embedding);
    return embedding;
  }

 private:
  struct Entry {
    std::string text;
    Embedding embedding;
    size_t bytes() const { return text.capacity() + embedding.values.capacity() * sizeof(float) + kEntryOverhead; }
  };

  void remember(std::string_view text, const Embedding& embedding) const {
    std::lock_guard lock(mutex_);
    if (by_text_.contains(text)) return;  // another thread was faster
    entries_.push_front({std::string(text), embedding});
    by_text_.emplace(entries_.front().text, entries_.begin());
    bytes_ += entries_.front().bytes();
    while (bytes_ > max_bytes_ && !entries_.empty()) {
      bytes_ -= entries_.back().bytes();
      by_text_.erase(entries_.back().text);
      entries_.pop_back();
    }
  }

  const std::shared_ptr<const TextEmbedder> inner_;
  const size_t max_bytes_;
  mutable std::mutex mutex_;
  mutable std::list<Entry> entries_;                                                  // most recent first
  mutable std::unordered_map<std::string_view, std::list<Entry>::iterator> by_text_;  // keys point into entries_
  mutable size_t bytes_ = 0;
};

}  // namespace

std::shared_ptr<const TextEmbedder> make_caching_embedder(std::shared_ptr<const TextEmbedder> inner, size_t max_bytes) {
  return std::make_shared<CachingTextEmbedder>(std::move(inner), max_bytes);
}

}  // namespace quarry::extract
