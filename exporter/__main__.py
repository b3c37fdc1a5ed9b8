"""``python -m exporter`` is the command ``wechat-miniprogram-exporter``."""

import sys

from exporter.cli import main

sys.exit(main())
