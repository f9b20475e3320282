#include "mvs/text/text_index_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"
#include "mvs/text/index_layout.h"

namespace quarry::mvs {
namespace {

using text_layout::kPageBytes;

// calloc gives large blocks as pages of zeros that take memory once they are written.
// Null: there is not so much.
std::shared_ptr<char> make_buffer(uint64_t size) {
  void* memory = std::calloc(std::max<uint64_t>(size, 1), 1);
  if (memory == nullptr) return nullptr;
  return {static_cast<char*>(memory), [](char* p) { std::free(p); }};
}

size_t pages_of(uint64_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

}  // namespace

TextIndexParts::TextIndexParts(uint64_t size, std::string name) : size_(size), name_(std::move(name)), buffer_(make_buffer(size)) {}

uint64_t TextIndexParts::page_bytes() { return kPageBytes; }

Result<std::unique_ptr<TextIndexParts>> TextIndexParts::open(uint64_t size, uint32_t rows, std::string name, const Fetch& fetch) {
  std::unique_ptr<TextIndexParts> out(new TextIndexParts(size, std::move(name)));
  if (out->buffer_ == nullptr) return corruption(fmt::format("{}: an index of {} bytes", out->name_, size));
  const uint64_t head = std::min(size, pages_of(text_layout::kHeaderBytes + uint64_t(rows) * 4) * kPageBytes);
  QUARRY_ASSIGN_OR_RETURN(const auto first, fetch({{0, head}}));
  out->put(0, first.front());
  auto read = TextIndex::read_header(first.front(), size, out->name_);
  if (!read.ok() && read.error().kind == ErrorKind::kStorage) return std::unique_ptr<TextIndexParts>();
  QUARRY_RETURN_IF_ERROR(read);
  if (read->rows != rows) return corruption(fmt::format("{}: an index of {} rows", out->name_, read->rows));
  const size_t tail = read->dictionary.offset / kPageBytes;
  const uint64_t at = std::min(size, std::max<uint64_t>(head, tail * kPageBytes));
  if (at < size) {
    QUARRY_ASSIGN_OR_RETURN(const auto rest, fetch({{at, size - at}}));
    out->put(at, rest.front());
  }
  out->checksums_ = read->checksums;
  out->held_.resize(pages_of(read->checksums.offset));
  const std::string_view sums = out->bytes().substr(read->checksums.offset);
  const size_t sums_bytes = out->held_.size() * sizeof(uint32_t);
  if (sums.size() != sums_bytes + sizeof(uint32_t) || crc32c(sums.substr(0, sums_bytes)) != read_little<uint32_t>(sums, sums_bytes))
    return corruption(fmt::format("text index {} at offset {}: the checksums' checksum differs", out->name_, read->checksums.offset));
  QUARRY_RETURN_IF_ERROR(out->admit(0, std::min(pages_of(head), out->held_.size())));
  QUARRY_RETURN_IF_ERROR(out->admit(std::min(tail, out->held_.size()), out->held_.size()));
  QUARRY_ASSIGN_OR_RETURN(out->index_, TextIndex::open_parts(out->buffer_, out->bytes(), out->name_));
  out->checked_.resize(out->index_->terms());
  return out;
}

void TextIndexParts::put(uint64_t offset, std::string_view bytes) { std::memcpy(buffer_.get() + offset, bytes.data(), bytes.size()); }

Status TextIndexParts::admit(size_t begin, size_t end) {
  for (size_t p = begin; p < end; ++p) {
    if (held_[p]) continue;
    const std::string_view page = bytes().substr(0, checksums_.offset).substr(p * kPageBytes, kPageBytes);
    if (crc32c(page) != read_little<uint32_t>(bytes(), checksums_.offset + p * sizeof(uint32_t)))
      return corruption(fmt::format("text index {} at offset {}: the page's checksum differs", name_, p * kPageBytes));
    held_[p] = true;
    ++pages_held_;
  }
  return Ok{};
}

// The terms that ViewWords looks at; those that begin alike are merged with their positions.
std::vector<TextIndexParts::Term> TextIndexParts::terms_of(const AnalysedQuery& query, bool with_positions) const {
  std::vector<Term> out;
  for (const QueryWord& word : query.words) {
    if (!word.prefix) {
      if (const auto term = index_->find(word.term)) out.push_back({*term, with_positions});
      continue;
    }
    index_->for_each_with_prefix(word.term, [&](std::string_view, const TextTerm& term) {
      out.push_back({term, true});
      return true;
    });
    if (const auto own = index_->find(word.own_term)) out.push_back({*own, true});
  }
  return out;
}

void TextIndexParts::want(std::string_view part, std::vector<bool>& pages) const {
  const auto begin = uint64_t(part.data() - buffer_.get());
  for (size_t p = begin / kPageBytes; p < pages_of(begin + part.size()); ++p)
    if (!held_[p]) pages[p] = true;
}

Status TextIndexParts::fetch_pages(const std::vector<bool>& pages, const Fetch& fetch) {
  std::vector<TextIndex::Section> runs;
  for (size_t p = 0; p < pages.size(); ++p) {
    if (!pages[p]) continue;
    const uint64_t begin = p * kPageBytes, size = std::min<uint64_t>(kPageBytes, checksums_.offset - begin);
    if (runs.empty() || runs.back().offset + runs.back().size != begin) runs.push_back({begin, 0});
    runs.back().size += size;
  }
  if (runs.empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(const auto fetched, fetch(runs));
  for (size_t i = 0; i < runs.size(); ++i) {
    put(runs[i].offset, fetched[i]);
    QUARRY_RETURN_IF_ERROR(admit(runs[i].offset / kPageBytes, pages_of(runs[i].offset + runs[i].size)));
  }
  return Ok{};
}

Status TextIndexParts::load(const AnalysedQuery& query, bool with_positions, const Fetch& fetch) {
  const std::vector<Term> terms = terms_of(query, with_positions);
  std::vector<bool> pages(held_.size());
  for (const Term& t : terms) {
    want(t.term.postings.record(), pages);
    if (t.with_positions) want(t.term.postings.positions(), pages);
  }
  QUARRY_RETURN_IF_ERROR(fetch_pages(pages, fetch));
  for (const Term& t : terms) QUARRY_RETURN_IF_ERROR(check(t));
  return Ok{};
}

Status TextIndexParts::check(const Term& t) {
  Checked& known = checked_[t.term.ordinal];
  const Checked wanted = t.with_positions ? Checked::kAll : Checked::kPostings;
  if (known >= wanted) return Ok{};
  uint64_t words = 0;
  const Status status = t.with_positions ? t.term.postings.check(index_->lengths(), index_->rows(), words)
                                         : t.term.postings.check_postings(index_->lengths(), index_->rows());
  if (!status.ok()) return corruption(fmt::format("text index {}, term {}: {}", name_, t.term.ordinal, status.error().message));
  known = wanted;
  return Ok{};
}

}  // namespace quarry::mvs
