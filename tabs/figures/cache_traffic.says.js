// What the figure of a decoded token's cache may hold, and what it says of it; needs numbers.js and memory_traffic.js.
const CacheSays = (() => {
  const whole = (min, max) => Numbers.number(min, max, { integer: true });
  const rules = { kv_len: whole(1, 2 ** 21), num_heads_kv: whole(1, 128), head_dim: Numbers.oneOf(64, 128, 256), batch: whole(1, 1024), bandwidth_gb_s: Numbers.number(1, 20000) };
  const CACHES = [["fp16", "fp16"], ["fp8", "FP8"], ["nvfp4", "NVFP4"]];
  const time = (us) => (us >= 1e6 ? `${Numbers.brief(us / 1e6)} s` : us >= 1e3 ? `${Numbers.brief(us / 1e3)} ms` : `${Numbers.brief(us)} µs`);
  const rows = (state) => CACHES.map(([cache, name]) => {
    const bytes = MemoryTraffic.cacheBytes(cache, state);
    return { name, cache, bytes, us: MemoryTraffic.decodeUs(bytes, state.bandwidth_gb_s) };
  });
  const says = (state) => {
    const [fp16, fp8, nvfp4] = rows(state), tokens = state.batch === 1 ? "One token" : `One token of each of ${state.batch} sequences`;
    return [`${tokens}, one layer: at least ${time(fp16.us)} over an fp16 cache.`, `FP8 needs ${(fp16.us / fp8.us).toFixed(2)} times less, NVFP4 ${(fp16.us / nvfp4.us).toFixed(2)} times less, its scales counted.`];
  };
  return { rules, rows, time, says };
})();
