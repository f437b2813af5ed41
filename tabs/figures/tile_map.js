// The twin of tile_map.py.
const TileMap = (() => {
  const range = (stop, step) => Array.from({ length: Math.ceil(stop / step) }, (_, i) => i * step);
  const tiles = ({ seqlen, block_m, block_n, causal }) =>
    range(seqlen, block_m).map((first_query) => range(seqlen, block_n).map((first_key) => {
      const last_query = Math.min(first_query + block_m, seqlen) - 1, last_key = Math.min(first_key + block_n, seqlen) - 1;
      return causal && first_key > last_query ? "skipped" : causal && last_key > first_query ? "diagonal" : "full";
    }));
  const paddedShare = ({ seqlen, block_m, block_n }) => 1 - seqlen ** 2 / (Math.ceil(seqlen / block_m) * block_m * Math.ceil(seqlen / block_n) * block_n);
  const sharedBytes = ({ block_m, block_n, head_dim, stages }, element_bytes = 2) => (block_m + 2 * stages * block_n) * head_dim * element_bytes;
  // A row is lost when its program walks a tile whose first key comes after it.
  const nanRows = ({ seqlen, block_m, block_n, causal, guard }) => {
    if (guard || !causal) return [];
    return range(seqlen, 1).filter((query) => {
      const stop = (Math.floor(query / block_m) + 1) * block_m, last_tile = (Math.ceil(stop / block_n) - 1) * block_n;
      return last_tile > query;
    });
  };
  return { tiles, paddedShare, sharedBytes, nanRows };
})();
