// The twin of lanes.py. Lanes are counted along the rows of a tile, programs along the rows of the grid.
const Lanes = (() => {
  const grid = ({ rows, cols, block_m, block_n }) => [Math.ceil(rows / block_m), Math.ceil(cols / block_n)];
  const storage = ({ rows, cols, stride_row, stride_col }) => (rows - 1) * stride_row + (cols - 1) * stride_col + 1;
  const held = ({ rows, cols, stride_row, stride_col }) => {
    const at = new Map(); // address -> the first element that lies there
    for (let r = 0; r < rows; r += 1) {
      for (let c = 0; c < cols; c += 1) {
        const address = r * stride_row + c * stride_col;
        if (!at.has(address)) at.set(address, [r, c]);
      }
    }
    return at;
  };
  const place = (state) => {
    const [, wide] = grid(state);
    return [Math.floor(state.program / wide), state.program % wide];
  };
  // One object a lane: {row, col, address, mask, lands}.
  const lanes = (state) => {
    const { rows, cols, stride_row, stride_col, block_m, block_n } = state, [pm, pn] = place(state), elements = held(state), size = storage(state);
    return Array.from({ length: block_m * block_n }, (_, lane) => {
      const row = pm * block_m + Math.floor(lane / block_n), col = pn * block_n + (lane % block_n), address = row * stride_row + col * stride_col;
      const mask = row < rows && col < cols;
      return { row, col, address, mask, lands: mask ? "element" : address >= size ? "beyond" : elements.has(address) ? "other" : "gap" };
    });
  };
  return { grid, storage, held, place, lanes };
})();
