// Where things lie in a stored text index; docs/formats/text_index.md.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quarry::mvs::text_layout {

inline constexpr uint32_t kMagic = 0x49585451;  // "QTXI"
inline constexpr uint16_t kFormatVersion = 1;

inline constexpr size_t kFormatAt = 4, kAnalysisAt = 6, kRowsAt = 8, kDocumentsAt = 12, kWordsAt = 16, kTermsAt = 24, kBlocksAt = 28;
inline constexpr size_t kSectionsAt = 32;   // six of (offset u64, size u64)
inline constexpr size_t kLanguageAt = 128;  // padded with zeros
inline constexpr size_t kLanguageBytes = 32;
inline constexpr size_t kHeaderCrcAt = 160;
inline constexpr size_t kHeaderBytes = 192;

inline constexpr size_t kPageBytes = 16384;  // what a checksum covers
inline constexpr size_t kTermsPerBlock = 32;
inline constexpr size_t kKeyBytes = 8;

}  // namespace quarry::mvs::text_layout
