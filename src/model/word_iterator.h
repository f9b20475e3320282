// Where words begin and end by Unicode (UAX #29).
#pragma once

#include <unicode/brkiter.h>

namespace quarry {

// The calling thread's own: a break iterator is costly to make and not thread-safe. Whoever sets a text on it uses it up before another
// function that does.
icu::BreakIterator& word_iterator();

}  // namespace quarry
