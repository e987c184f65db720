/* empty: a preloaded library that does nothing: what any preloaded library costs, the baseline of the footprint rows. */
extern const int bench_empty_library;
const int bench_empty_library = 1;
