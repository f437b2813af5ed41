// The twin of roofline.py.
const Roofline = (() => {
  const attainable = (roof, intensity) => Math.min(roof.peak_tflops, (roof.bandwidth_gb_s * intensity) / 1e3);
  const ridge = (roof) => (roof.peak_tflops * 1e3) / roof.bandwidth_gb_s;
  const decodeIntensity = (group_size, element_bytes) => (2 * group_size) / element_bytes;
  const prefillIntensity = (seqlen, element_bytes = 2) => seqlen / element_bytes;
  return { attainable, ridge, decodeIntensity, prefillIntensity };
})();
