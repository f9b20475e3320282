#include "model/word_iterator.h"

#include <memory>

#include "base/result.h"

namespace quarry {

icu::BreakIterator& word_iterator() {
  thread_local std::unique_ptr<icu::BreakIterator> iterator = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::BreakIterator> made(icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), status));
    QUARRY_CHECK(U_SUCCESS(status));  // ICU's data is missing: nothing works
    return made;
  }();
  return *iterator;
}

}  // namespace quarry
