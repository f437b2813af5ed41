// What the roofline may hold, and what it says of it; needs numbers.js, memory_traffic.js and roofline.js.
const RoofSays = (() => {
  const YOURS = "yours"; // the GPU of the reader's newest timed attempt; the first of the others where there is none
  const CACHES = [["fp16", "fp16"], ["fp8", "FP8"], ["nvfp4", "NVFP4"]];
  const rules = (roofs) => ({
    device: Numbers.oneOf(...roofs.map((roof) => roof.device), YOURS), group_size: Numbers.number(1, 128, { integer: true }),
    cache: Numbers.oneOf(...CACHES.map(([cache]) => cache)), seqlen: Numbers.number(1, 2 ** 20, { integer: true }), causal: Numbers.flag,
  });
  const short = (device) => device.replace(/^NVIDIA /, "");
  const brief = (value) => (Number.isInteger(value) ? String(value) : Numbers.brief(value));
  const TILE = 64; // queries a tile of a prefill that no cache helps
  const workloads = (state) => {
    const bytes = MemoryTraffic.CACHE_BITS[state.cache] / 8, heads = `${state.group_size} ${state.group_size === 1 ? "head" : "heads"}`, name = CACHES.find(([cache]) => cache === state.cache)[1];
    const half = state.causal ? " / 2" : "", passes = Math.ceil(state.seqlen / TILE);
    return [
      { name: "decode", told: `decode, ${heads} a KV head, ${name}`, intensity: Roofline.decodeIntensity(state.group_size, bytes), why: `2 × ${state.group_size} / ${bytes} bytes` },
      { name: "prefill", told: `prefill, ${state.seqlen} tokens, each byte moved once`, intensity: Roofline.prefillIntensity(state.seqlen, 2, state.causal), why: `${state.seqlen} / 2 bytes${half}` },
      { name: "no cache", told: `prefill, ${state.seqlen} tokens, ${passes} ${passes === 1 ? "pass" : "passes"} over K and V`, intensity: Roofline.tiledIntensity(state.seqlen, TILE, 2, state.causal), why: `${state.causal ? "half of " : ""}4 n² d FLOP over Q and out once, K and V for every ${TILE} queries` },
    ];
  };
  const says = (state, roof) => {
    const [decode, prefill, tiled] = workloads(state), corner = Roofline.ridge(roof), most = Roofline.attainable(roof, decode.intensity);
    const waits = (one) => (one.intensity < corner ? "memory" : "arithmetic"), share = Math.round((100 * most) / roof.peak_tflops);
    return [
      `${short(roof.device)}: the ridge lies at ${Math.round(corner)} FLOP a byte.`,
      `Decoding does ${brief(decode.intensity)} and waits for ${waits(decode)}: at most ${brief(most)} TFLOP/s, ${share < 1 ? "less than 1" : share}% of the peak.`,
      `A ${state.causal ? "causal " : ""}prompt of ${state.seqlen} tokens does ${brief(prefill.intensity)} if each byte moves once, and waits for ${waits(prefill)}; with ${TILE} queries a tile and no cache it does ${brief(tiled.intensity)} and waits for ${waits(tiled)}.`,
    ];
  };
  // One name for the kernels of a kind, at the lowest of them, where the roof is not: beside it, or below until there is room.
  const [LETTER, LINE, CLEAR] = [7, 13, 7]; // pixels: as wide as one is at most, as high as a line, from a mark's middle to its edge
  const kind = (name) => name.match(/^(decode (?:FP8|NVFP4)|[^ ]+)/)[0];
  const named = (marks, width) => {
    const lowest = new Map();
    for (const mark of marks) if (!(lowest.get(kind(mark.name))?.y >= mark.y)) lowest.set(kind(mark.name), mark);
    const boxes = [], meets = (a) => (b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
    const taken = marks.map(({ x, y }) => ({ x: x - CLEAR, y: y - CLEAR, width: 2 * CLEAR, height: 2 * CLEAR }));
    for (const [text, { x, y }] of lowest) {
      const places = [0, 1, 2, 3, 4].map((below) => ({ text, x: x + (below ? 3 : CLEAR + 2), y: y - LINE / 2 + below * (LINE + 1), width: LETTER * text.length, height: LINE }));
      const free = places.find((box) => box.x + box.width <= width && ![...taken, ...boxes].some(meets(box)));
      if (free) boxes.push(free);
    }
    return boxes;
  };
  return { YOURS, CACHES, rules, short, brief, workloads, says, named };
})();
