"""Writes conson.yml, homekit.yml and cli.yml with the classes of conson-xp itself, where it stands."""

from pathlib import Path

import yaml
from xp.models.conbus.conbus_client_config import ConbusClientConfig
from xp.models.config.conson_module_config import ConsonModuleConfig
from xp.models.homekit.homekit_config import HomekitConfig

MODULES = [
    ConsonModuleConfig(
        name="A4",
        serial_number="0020044774",
        module_type="XP24",
        module_type_code=7,
        link_number=4,
        auto_report_status="PP",
        action_table=[
            "CP20 4 0 > 1 ON;",
            "CP20 4 4 > 1 OFF;",
            "CP20 0 0 > 1 OFF;",
            "CP20 0 0 > 2 OFF;",
            "CP20 0 0 > 3 OFF;",
            "CP20 0 0 > 4 OFF;",
        ],
    ),
    ConsonModuleConfig(
        name="A12", serial_number="0020045056", module_type="XP33LED", module_type_code=35, link_number=12
    ),
]


def accessory(name, serial, output, service, on, off, description=None):
    """An accessory as homekit.yml has it."""
    return {
        "name": name,
        "id": name.upper(),
        "serial_number": serial,
        "output_number": output,
        "description": description or name,
        "service": service,
        "on_action": on,
        "off_action": off,
    }


HOMEKIT = HomekitConfig(
    bridge={"name": "Maison", "rooms": [{"name": "Salon", "accessories": ["salon", "spots"]}]},
    accessories=[
        accessory("salon", "0020044774", 0, "light", "E02L04I00", "E02L04I04"),
        accessory("spots", "0020045056", 2, "dimminglight", "E02L12I02", "E02L12I05"),
        accessory("all", "0020044774", 0, "outlet", "E02L00I08", "E02L00I00", "Everything off"),
        # YAML 1.1 reads this name as false: the writer quotes it.
        accessory("off", "0020044774", 1, "outlet", "E02L04I01", "E02L04I01"),
    ],
)


def write(name, value):
    """Writes a file as the package's own export does."""
    Path(name).write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), encoding="utf-8")


write("conson.yml", [module.model_dump(mode="json") for module in MODULES])
write("homekit.yml", HOMEKIT.model_dump(mode="json"))
write("cli.yml", ConbusClientConfig().model_dump(mode="json"))
