"""Optical flow and what it says about motion: end-point error, agreement of directions, identification.

The flow is that of Farnebäck (2003) as OpenCV's ``calcOpticalFlowFarneback`` computes it with the settings
that the compared papers use (pyramid scale .5, 3 levels, window 15, 3 iterations, polynomials of size 5 with
sigma 1.2, box window), written for batches of frames on any device.

The end-point error rewards predictions that do not move: a frozen video scores the mean speed of the
original, which is often less than the error of a moving prediction. The other metrics here do not: they ask
whether motion goes the same way, and give a frozen video nothing (0, or the chance level of identification).
"""

import functools

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

PYRAMID_SCALE, LEVELS, WINDOW, ITERATIONS = 0.5, 3, 15, 3
TAPS, SIGMA = 5, 1.2  # polynomials are fitted over 2 * TAPS + 1 pixels, as OpenCV reads its size of 5
SMALLEST = 32  # pixels, shorter side of the coarsest level
# Confidence of the pixels next to the frame's edge, where the flow of the outside is unknown.
EDGE = (0.14, 0.14, 0.4472, 0.4472, 0.4472)
GRID = 32  # flow is kept at this many places per axis at most: it is smooth over the window of 15 pixels
BATCH_PIXELS = 1 << 18  # at once, so that a core's cache helps


@functools.lru_cache(maxsize=8)
def _kernels(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the two passes of the polynomial fit as kernels: down (3, 1, K, 1), then across (5, 3, 1, K)."""
    x = np.arange(-TAPS, TAPS + 1, dtype=np.float64)
    weights = np.exp(-(x**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    second, fourth = (weights * x**2).sum(), (weights * x**4).sum()
    # Moments of 1, x, y, x², y², xy under the separable weights; mixed ones are products.
    moments = np.zeros((6, 6))
    moments[0, 0] = 1
    moments[1, 1] = moments[2, 2] = second
    moments[0, 3] = moments[0, 4] = moments[3, 0] = moments[4, 0] = second
    moments[3, 3] = moments[4, 4] = fourth
    moments[3, 4] = moments[4, 3] = moments[5, 5] = second**2
    inverse = np.linalg.inv(moments)
    down = np.stack([weights, weights * x, weights * x**2])
    across = np.zeros((5, 3, len(x)))
    across[0, 1] = inverse[1, 1] * down[0]  # y
    across[1, 0] = inverse[1, 1] * down[1]  # x
    across[2, 0] = across[3, 0] = inverse[0, 3] * down[0]
    across[2, 2] = inverse[3, 3] * down[0]  # yy
    across[3, 0] += inverse[3, 3] * down[2]  # xx
    across[4, 1] = inverse[5, 5] * down[1]  # xy
    kernels = down[:, None, :, None], across[:, :, None, :]
    first, then = (torch.tensor(kernel, dtype=torch.float32, device=device) for kernel in kernels)
    return first, then


def _polynomials(frames: Tensor) -> Tensor:
    """Fit a quadratic polynomial around each pixel: (n, 1, H, W) -> (n, 5, H, W) of y, x, yy, xx, xy."""
    down, across = _kernels(frames.device)
    columns = functional.conv2d(functional.pad(frames, (0, 0, TAPS, TAPS), mode="replicate"), down)
    return functional.conv2d(functional.pad(columns, (TAPS, TAPS, 0, 0), mode="replicate"), across)


@functools.lru_cache(maxsize=8)
def _confidence(height: int, width: int, device: torch.device) -> Tensor:
    """Weights (H, W) that fall towards the frame's edge."""
    sides = []
    for size in (height, width):
        side = torch.ones(size)
        for place, weight in enumerate(EDGE):
            side[place] *= weight
            side[size - 1 - place] *= weight
        sides.append(side.to(device))
    return sides[0][:, None] * sides[1]


def _equations(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    """Set up the flow's linear equations per pixel, given the flow so far: (n, 5, H, W)."""
    height, width = flow.shape[2:]
    ys = torch.arange(height, device=flow.device, dtype=torch.float32)[:, None]
    xs = torch.arange(width, device=flow.device, dtype=torch.float32)
    dx, dy = flow[:, 0], flow[:, 1]
    x, y = xs + dx, ys + dy
    inside = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    moved = functional.grid_sample(second, grid, padding_mode="border", align_corners=True)
    # A pixel whose motion leaves the frame has only its own polynomial.
    moved = torch.where(inside[:, None], moved, torch.cat([torch.zeros_like(first[:, :2]), first[:, 2:]], 1))
    a_yy, a_xx = (first[:, 2] + moved[:, 2]) / 2, (first[:, 3] + moved[:, 3]) / 2
    a_xy = (first[:, 4] + moved[:, 4]) / 4
    b_y = (first[:, 0] - moved[:, 0]) / 2 + a_yy * dy + a_xy * dx
    b_x = (first[:, 1] - moved[:, 1]) / 2 + a_xy * dy + a_xx * dx
    weight = _confidence(height, width, flow.device)
    a_yy, a_xx, a_xy, b_y, b_x = (part * weight for part in (a_yy, a_xx, a_xy, b_y, b_x))
    parts = [a_yy * a_yy + a_xy * a_xy, (a_yy + a_xx) * a_xy, a_xx * a_xx + a_xy * a_xy]
    parts += [a_yy * b_y + a_xy * b_x, a_xy * b_y + a_xx * b_x]
    return torch.stack(parts, dim=1)


def _box(values: Tensor, axis: int) -> Tensor:
    """Sum over the window of 15 along an axis that is 14 longer than the result, by doubling."""
    size = values.shape[axis] - WINDOW + 1
    width, start = 1, 0
    total: Tensor | None = None
    while width <= WINDOW:
        if WINDOW & width:
            part = values.narrow(axis, start, size)
            total = part if total is None else total + part
            start += width
        if 2 * width <= WINDOW:
            length = values.shape[axis] - width
            values = values.narrow(axis, 0, length) + values.narrow(axis, width, length)
        width *= 2
    assert total is not None
    return total


def _solve(equations: Tensor) -> Tensor:
    """Solve the equations averaged over the window: (n, 2, H, W), x then y."""
    half = WINDOW // 2
    padded = functional.pad(equations, (half, half, half, half), mode="replicate")
    g11, g12, g22, h1, h2 = (_box(_box(padded, 2), 3) / WINDOW**2).unbind(1)
    determinant = g11 * g22 - g12 * g12 + 1e-3
    return torch.stack([g11 * h2 - g12 * h1, g22 * h1 - g12 * h2], dim=1) / determinant[:, None]


def _smoothing(scale: float) -> np.ndarray:
    """Gaussian before a frame is made smaller by ``scale``."""
    sigma = (1 / scale - 1) / 2
    if sigma == 0:
        return np.array([0.25, 0.5, 0.25])  # OpenCV's kernel where no width is given
    taps = max(round(sigma * 5) | 1, 3)
    x = np.arange(taps) - taps // 2
    kernel = np.exp(-(x**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def _level(frames: Tensor, scale: float) -> Tensor:
    """Smooth and shrink frames (n, 1, H, W) to a level of the pyramid."""
    kernel = torch.tensor(_smoothing(scale), dtype=torch.float32, device=frames.device)
    half = len(kernel) // 2
    smooth = functional.pad(frames, (half, half, half, half), mode="reflect")
    smooth = functional.conv2d(smooth, kernel.view(1, 1, -1, 1))
    smooth = functional.conv2d(smooth, kernel.view(1, 1, 1, -1))
    return _resize(smooth, tuple(round(size * scale) for size in frames.shape[2:]))


def _resize(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize (n, C, H, W) bilinearly, as OpenCV does (no smoothing of its own)."""
    if tuple(values.shape[2:]) == size:
        return values
    return functional.interpolate(values, size, mode="bilinear", align_corners=False)


@torch.inference_mode()
def farneback(frames: Tensor) -> Tensor:
    """Compute the flow from each frame to the next (Farnebäck 2003, settings of the papers).

    Parameters
    ----------
    frames : float32 (n, F, H, W), grey values 0..255

    Returns
    -------
    float32 (n, F - 1, 2, H, W), pixels to the right and down; 0 between equal frames
    """
    n, n_frames, height, width = frames.shape
    depth = 0
    while depth < LEVELS and min(height, width) * PYRAMID_SCALE ** (depth + 1) >= SMALLEST:
        depth += 1
    flow: Tensor | None = None
    for level in range(depth, -1, -1):
        shrunk = _level(frames.flatten(0, 1)[:, None], PYRAMID_SCALE**level)
        polynomials = _polynomials(shrunk).unflatten(0, (n, n_frames))
        one, two = polynomials[:, :-1].flatten(0, 1), polynomials[:, 1:].flatten(0, 1)
        size = tuple(one.shape[2:])
        if flow is None:
            flow = torch.zeros(len(one), 2, *size, device=one.device)
        else:
            flow = _resize(flow, size) / PYRAMID_SCALE
        for _ in range(ITERATIONS):
            flow = _solve(_equations(one, two, flow))
    assert flow is not None
    flow = flow.unflatten(0, (n, n_frames - 1))
    # Rounding alone makes a little flow of equal frames, with a direction that must not count.
    moves = (frames[:, 1:] != frames[:, :-1]).flatten(2).any(2)
    return flow * moves[:, :, None, None, None]


def grey_bytes(frames: np.ndarray) -> np.ndarray:
    """Grey values as OpenCV rounds them: uint8 (..., 3) -> uint8 (...), weights .299 .587 .114."""
    red, green, blue = (frames[..., channel].astype(np.int32) for channel in range(3))
    return ((red * 9798 + green * 19235 + blue * 3735 + (1 << 14)) >> 15).astype(np.uint8)


def clip_flows(videos: np.ndarray, device: str = "cpu", size: int = 0, exchanged: bool = False) -> np.ndarray:
    """Flow between neighbouring frames of every clip, at up to 32 x 32 evenly spaced pixels.

    Parameters
    ----------
    videos : uint8 (n, F, H, W, 3), two frames or more
    device : where it is computed
    size : resize frames bilinearly to this many pixels (square) first; 0 keeps them
    exchanged : grey values with the weights of red and blue exchanged, as Mind-Animator's code has them,
        which converts RGB frames as BGR

    Returns
    -------
    float16 (n, F - 1, h, w, 2), pixels to the right and down; half precision keeps 3 digits
    """
    n, n_frames = videos.shape[:2]
    height, width = (size, size) if size else videos.shape[2:4]
    steps = [max(1, side // GRID) for side in (height, width)]
    places = tuple(slice(step // 2, None, step) for step in steps)
    step = max(1, BATCH_PIXELS // (height * width * n_frames))
    flows = []
    for start in range(0, n, step):
        part = videos[start : start + step]
        grey = torch.from_numpy(grey_bytes(part[..., ::-1] if exchanged else part)).to(device, torch.float32)
        flow = farneback(_resize(grey, (height, width)))
        flows.append(flow[..., places[0], places[1]].movedim(2, -1).cpu().numpy().astype(np.float16))
    return np.concatenate(flows)


def epe_pairs(predicted: np.ndarray, truth: np.ndarray, device: str = "cpu") -> np.ndarray:
    """End-point error of every prediction with every true clip: ||flow - flow||, mean over pixels and frames.

    Parameters
    ----------
    predicted, truth : flows (n, F - 1, h, w, 2) and (m, F - 1, h, w, 2), pixels
    device : cpu or cuda

    Returns
    -------
    (n, m) float64, pixels
    """
    shapes = (len(predicted), len(truth))
    x, y = (torch.from_numpy(flow.astype(np.float32)).to(device).flatten(1, 3) for flow in (predicted, truth))
    result = torch.empty(shapes, dtype=torch.float64)
    for row, flow in enumerate(x):
        # sqrt(dx² + dy²) with as few passes over the large array as possible.
        difference = y - flow
        result[row] = torch.hypot(difference[..., 0], difference[..., 1]).mean(1, dtype=torch.float64).cpu()
    return result.numpy()


def _unit_rows(values: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; a row of zeros stays zero."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1)


def flow_cosine_pairs(predicted: np.ndarray, truth: np.ndarray, centred: bool = False) -> np.ndarray:
    """Cosine between the flow fields of every prediction and every true clip; 0 where nothing moves.

    Parameters
    ----------
    predicted, truth : flows (n, F - 1, h, w, 2) and (m, F - 1, h, w, 2)
    centred : subtract each clip's mean flow first, so that a common drift does not count (a correlation)

    Returns
    -------
    (n, m) float64, -1 to 1
    """
    rows = []
    for flow in (predicted, truth):
        values = flow.astype(np.float32)
        if centred:
            values = values - values.mean(axis=(1, 2, 3), keepdims=True)
        rows.append(_unit_rows(values.reshape(len(values), -1)))
    return (rows[0] @ rows[1].T).astype(np.float64)


def mean_speeds(flows: np.ndarray) -> np.ndarray:
    """Mean length of the flow of each clip: (n, F - 1, h, w, 2) -> (n,) float64, pixels per frame."""
    return np.hypot(*np.moveaxis(flows.astype(np.float64), -1, 0)).mean(axis=(1, 2, 3))


def motion_energy_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Products of standardised ranks of the mean speeds, whose mean over matched clips is Spearman's rho.

    Parameters
    ----------
    predicted, truth : flows (n, F - 1, h, w, 2) and (m, F - 1, h, w, 2)

    Returns
    -------
    (n, m) float64; 0 where all clips are equally fast
    """
    ranks = []
    for flow in (predicted, truth):
        speed = mean_speeds(flow)
        rank = rankdata(speed) - (len(speed) + 1) / 2
        spread = rank.std()
        ranks.append(rank / spread if spread > 0 else rank)
    return np.outer(*ranks)


def motion_identification_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of the other true clips whose flow agrees less with the prediction than the true clip's own.

    Two-way identification with all distractors instead of random ones; agreement is the cosine of the flows,
    equal agreement counts half, so that a frozen prediction scores .5.

    Parameters
    ----------
    predicted, truth : flows (n, F - 1, h, w, 2) and (m, F - 1, h, w, 2), two true clips or more

    Returns
    -------
    (n, m) float64, chance .5
    """
    # Products of equal flows differ in the last digits with their place in the matrix.
    agreement = np.round(flow_cosine_pairs(predicted, truth), 6)
    others = agreement.shape[1] - 1
    return (rankdata(agreement, axis=1) - 1) / others
