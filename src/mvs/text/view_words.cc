#include "mvs/text/view_words.h"

#include <algorithm>

namespace quarry::mvs {
namespace {

// The rows of several words as if they were one: counts added up, places merged.
Postings merge_words(std::vector<PostingsReader>& words) {
  if (words.size() == 1) {
    Postings one;
    words.front().decode_all(one, true);
    return one;
  }
  struct Place {
    uint32_t row, position;
    auto operator<=>(const Place&) const = default;
  };
  std::vector<Place> places;
  Postings decoded;
  for (const PostingsReader& word : words) {
    decoded.clear();
    word.decode_all(decoded, true);
    size_t at = 0;
    for (size_t i = 0; i < decoded.rows.size(); ++i)
      for (uint32_t k = 0; k < decoded.tfs[i]; ++k) places.push_back({decoded.rows[i], decoded.positions[at++]});
  }
  std::sort(places.begin(), places.end());
  Postings out;
  for (const Place& place : places) {
    if (out.rows.empty() || out.rows.back() != place.row) {
      out.rows.push_back(place.row);
      out.tfs.push_back(0);
    }
    ++out.tfs.back();
    out.positions.push_back(place.position);
  }
  return out;
}

}  // namespace

Result<ViewWords> ViewWords::find(const SegmentView& view, const AnalysedQuery& query, const std::vector<std::string>& fields,
                                  const Analyzer& analyzer, Executor* executor) {
  ViewWords out;
  for (size_t f = 0; f < fields.size(); ++f) {
    QUARRY_ASSIGN_OR_RETURN(auto live, view.segment->text().field(*view.segment, fields[f], analyzer, view.deleted, executor));
    out.fields_.push_back(std::move(live));
    for (size_t w = 0; w < query.words.size(); ++w) {
      if (query.words[w].prefix)
        out.find_prefix(f, w, query.words[w], view);
      else
        out.find_word(f, w, query.words[w]);
    }
  }
  return out;
}

void ViewWords::find_word(size_t field, size_t word, const QueryWord& what) {
  const auto term = fields_[field].index->find(what.term);
  if (!term) return;
  const uint32_t live = fields_[field].df(*term);
  if (live > 0) words_.push_back({field, word, term->postings, live});
}

void ViewWords::find_prefix(size_t field, size_t word, const QueryWord& what, const SegmentView& view) {
  const TextIndex& index = *fields_[field].index;
  std::vector<PostingsReader> readers;
  index.for_each_with_prefix(what.term, [&](std::string_view, const TextTerm& term) {
    readers.push_back(term.postings);
    return true;
  });
  if (const auto own = index.find(what.own_term); own && !what.own_term.starts_with(what.term)) readers.push_back(own->postings);
  if (readers.empty()) return;
  const Postings merged = merge_words(readers);
  auto record = std::make_unique<Record>();
  encode_postings(merged, index.lengths(), record->postings, record->positions);
  const PostingsReader postings(uint32_t(merged.rows.size()), record->postings, record->positions);
  prefixes_.push_back(std::move(record));
  const uint32_t live = postings.df() - (view.deleted != nullptr ? count_dead(postings, *view.deleted) : 0);
  if (live > 0) words_.push_back({field, word, postings, live});
}

}  // namespace quarry::mvs
