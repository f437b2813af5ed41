// The twin of roofline.py.
const Roofline = (() => {
  const attainable = (roof, intensity) => Math.min(roof.peak_tflops, (roof.bandwidth_gb_s * intensity) / 1e3);
  const ridge = (roof) => (roof.peak_tflops * 1e3) / roof.bandwidth_gb_s;
  const decodeIntensity = (group_size, element_bytes) => (2 * group_size) / element_bytes;
  const prefillIntensity = (seqlen, element_bytes = 2, causal = false) => seqlen / element_bytes / (causal ? 2 : 1);
  const tiledIntensity = (seqlen, tile, element_bytes = 2, causal = false) => {
    const passes = Math.ceil(seqlen / tile), keys_read = causal ? (tile * passes * (passes - 1)) / 2 + seqlen : passes * seqlen;
    return (2 * seqlen ** 2) / (element_bytes * (seqlen + keys_read)) / (causal ? 2 : 1);
  };
  return { attainable, ridge, decodeIntensity, prefillIntensity, tiledIntensity };
})();
