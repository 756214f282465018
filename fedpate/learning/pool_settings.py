"""What the settings of students have in common, and what they are resolved to."""

from typing import TYPE_CHECKING, Any

from fedpate import _check
from fedpate.learning.teachers import check_channels, check_widths

if TYPE_CHECKING:
    from fedpate.learning.guided import Pace
    from fedpate.learning.nets import Net
    from fedpate.learning.views import View


def check_shapes(student: Any) -> None:
    """Channels for images and widths of dense layers, as every student with networks has them."""
    for name in ("channels", "hidden", "table_hidden"):
        object.__setattr__(student, name, tuple(getattr(student, name)))
    check_channels("student.channels", student.channels)
    check_widths("student.hidden", student.hidden)
    check_widths("student.table_hidden", student.table_hidden)


def check_common(student: Any) -> None:
    """What students that use the pool have in common."""
    check_shapes(student)
    for name in ("members", "steps", "table_steps", "batch_size", "pool_ratio"):
        _check.at_least(1, **{f"student.{name}": getattr(student, name)})
    _check.positive(**{"student.learning_rate": student.learning_rate})
    for name in ("weight_decay", "max_shift", "max_turn", "max_zoom", "max_shear", "noise"):
        _check.non_negative(**{f"student.{name}": getattr(student, name)})
    _check.unit(**{"student.averaging": student.averaging})


def pace_of(student: Any, *, images: bool) -> "Pace":
    """How long and how fast a student learns from this kind of records."""
    from fedpate.learning.guided import Pace

    steps = student.steps if images else student.table_steps
    return Pace(steps, student.learning_rate, student.weight_decay, student.averaging)


def view_of(student: Any, share: float = 1.0, *, images: bool) -> "View":
    """The strongest view for a share of 1; weaker, and nothing covered or swapped, for less."""
    from fedpate.learning.views import ImageView, RowView

    whole = float(share == 1)
    if not images:
        return RowView(share * student.noise, whole * getattr(student, "swapped", 0.0))
    return ImageView(
        share * student.max_shift,
        share * student.max_turn,
        share * student.max_zoom,
        share * student.max_shear,
        whole * getattr(student, "max_contrast", 0.0),
        whole * getattr(student, "max_cover", 0.0),
    )


def net_of(student: Any, record_shape: tuple[int, ...], n_classes: int) -> "Net":
    """A fine cnn for images, an mlp for rows."""
    from fedpate.learning import nets

    if len(record_shape) == 1:
        return nets.mlp(record_shape, student.table_hidden, n_classes)
    return nets.fine_cnn(record_shape, student.channels, student.hidden, n_classes)
