// The twin of memory_traffic.py.
const MemoryTraffic = (() => {
  const CACHE_BITS = { fp16: 16, fp8: 8, nvfp4: 4 + 8 / 16 }, LSE_BYTES = 4;
  const scoresBytes = ({ seqlen, num_heads, score_bytes }) => num_heads * seqlen ** 2 * score_bytes;
  const flashBytes = ({ seqlen, num_heads }) => num_heads * seqlen * LSE_BYTES;
  const moved = ({ seqlen, head_dim, num_heads, element_bytes, score_bytes, tile }) => {
    const side = seqlen * head_dim * element_bytes;
    return { naive: num_heads * (4 * side + 4 * seqlen ** 2 * score_bytes), flash: num_heads * (2 + 2 * Math.ceil(seqlen / tile)) * side, least: num_heads * 4 * side };
  };
  const cacheBytes = (cache, { kv_len, num_heads_kv, head_dim, batch }) => (2 * batch * num_heads_kv * kv_len * head_dim * CACHE_BITS[cache]) / 8;
  const decodeUs = (bytes, bandwidth_gb_s) => bytes / bandwidth_gb_s / 1e3;
  return { CACHE_BITS, scoresBytes, flashBytes, moved, cacheBytes, decodeUs };
})();
