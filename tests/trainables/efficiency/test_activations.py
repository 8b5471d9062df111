"""What a forward pass makes is added up operator by operator."""

import torch
from torch import nn

from trainables.efficiency.activations import activation_bytes

PIXEL = 4  # bytes of a number


def test_what_operators_make_is_counted_and_views_are_not():
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(), nn.Flatten())
    assert activation_bytes(model, 8) == PIXEL * (3 + 5 + 5) * 64, "with the image itself"


def test_work_in_place_makes_nothing():
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(inplace=True))
    assert activation_bytes(model, 8) == PIXEL * (3 + 5) * 64


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    activation_bytes(model, 8)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
