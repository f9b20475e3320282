#pragma once

#include "extract/extract.h"

namespace quarry::extract {

// Text and PDFs into chunks, each with its vector. Parameters: the contract's TextExtractorParams.
const Extractor& text_extractor();

}  // namespace quarry::extract
